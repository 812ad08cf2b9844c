"""The descriptions of fields, as the OpenAPI document and the clients show them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from velocity.contract import openapi

PASSWORDS = {"password", "old_password"}
PRONOUN = re.compile(r"\b(he|him|his|himself|whoever|somebody)\b")


def described() -> Iterator[tuple[str, str, str]]:
    """Type, field, and description of each field."""
    for name, schema in openapi.build()["components"]["schemas"].items():
        for field, declared in schema.get("properties", {}).items():
            yield name, field, declared.get("description", "")


def test_only_passwords_are_described_as_passwords() -> None:
    is_one = re.compile(r"(a|the|the user's) (\w+ )?password\b(?!')")
    wrong = [(name, field) for name, field, text in described() if is_one.match(text) and field not in PASSWORDS]
    assert wrong == []


def test_users_are_they() -> None:
    texts = [text for *_, text in described()]
    for operation in openapi.build()["paths"].values():
        texts += [str(method) for method in operation.values()]
    assert [text for text in texts if PRONOUN.search(text)] == []
