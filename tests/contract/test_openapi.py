"""The OpenAPI document says what the server holds requests to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from velocity.contract import openapi
from velocity.contract.events import EVENTS, WATCH


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (one for key, one in value.items() if key == "$ref")
        yield from value.get("discriminator", {}).get("mapping", {}).values()
        value = list(value.values())
    for one in value if isinstance(value, list) else ():
        yield from references(one)


def test_each_schema_that_is_named_is_there() -> None:
    document = openapi.build()
    there = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    named = set(references(document))
    assert len(named) > 100
    assert named <= there
    events = document["paths"][WATCH.path]["get"]["responses"]["200"]["x-events"]
    assert set(events) == set(EVENTS)
    assert len(set(references(events))) > 5


@pytest.mark.parametrize("name", ["CreateVm", "AlterVm"])
def test_the_limits_of_a_vm_are_those_that_it_is_refused_by(name: str) -> None:
    fields = openapi.build()["components"]["schemas"][name]["properties"]
    assert [fields[one]["minimum"] for one in ("cpus", "memory_mib")] == [1, 1]
    assert fields["notes"]["x-max-bytes"] == 8192
