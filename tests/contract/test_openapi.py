"""The OpenAPI document says what the server holds requests to, in a form that generators of clients take."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from typing import Any

import jsonschema
import msgspec
import pytest
from msgspec import NODEFAULT, UNSET

from velocity.contract import openapi
from velocity.contract.events import EVENTS, WATCH
from velocity.contract.machines import State
from velocity.contract.operation import Change, Wire
from velocity.contract.permissions import Permission
from velocity.contract.plan import Plan
from velocity.contract.registry import OPERATIONS

ANYTHING = {("FieldChange", "old"), ("FieldChange", "new")}
"""Properties of any type."""


def built() -> Any:
    """The document as it is served, which the process generates once."""
    return msgspec.json.decode(openapi.document())


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (one for key, one in value.items() if key == "$ref")
        yield from value.get("discriminator", {}).get("mapping", {}).values()
        value = list(value.values())
    for one in value if isinstance(value, list) else ():
        yield from references(one)


def structs(kinds: list[Any]) -> Iterator[type[Wire]]:
    """All that these types are made of."""
    seen: set[type[Wire]] = set()
    while kinds:
        kind = kinds.pop()
        if isinstance(kind, type) and issubclass(kind, Wire):
            if kind not in seen:
                seen.add(kind)
                kinds += [one.type for one in msgspec.structs.fields(kind)]
        else:
            kinds += typing.get_args(kind)
    yield from seen


def properties() -> Iterator[tuple[str, str, Any]]:
    for name, schema in built()["components"]["schemas"].items():
        yield from ((name, field, declared) for field, declared in schema.get("properties", {}).items())


def described() -> Iterator[tuple[str, Any]]:
    for path, methods in built()["paths"].items():
        yield from ((f"{method} {path}", operation) for method, operation in methods.items())


def is_typed(schema: Any) -> bool:
    if "anyOf" in schema:
        return all(is_typed(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return is_typed(schema["items"])
    return "$ref" in schema or "type" in schema


def test_each_schema_that_is_named_is_there() -> None:
    document = built()
    there = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    there |= {
        f"#/components/{kind}/{name}" for kind in ("headers", "parameters") for name in document["components"][kind]
    }
    named = set(references(document))
    assert len(named) > 100
    assert named <= there
    events = document["paths"][WATCH.path]["get"]["responses"]["200"]["x-events"]
    assert set(events) == set(EVENTS)
    assert len(set(references(events))) > 5


@pytest.mark.parametrize("name", ["CreateVm", "AlterVm"])
def test_the_limits_of_a_vm_are_those_that_it_is_refused_by(name: str) -> None:
    fields = built()["components"]["schemas"][name]["properties"]
    assert [fields[one]["minimum"] for one in ("cpus", "memory_mib")] == [1, 1]
    assert fields["notes"]["x-max-bytes"] == 8192


@pytest.mark.holds("API-10")
def test_every_property_parameter_and_header_has_a_type() -> None:
    untyped = {(name, field) for name, field, declared in properties() if not is_typed(declared)}
    assert untyped == ANYTHING
    document = built()
    for where, operation in described():
        given = [one for one in operation.get("parameters", ()) if "$ref" not in one]
        headers = [one for answer in operation["responses"].values() for one in answer.get("headers", {}).values()]
        for one in (
            *given,
            *(one for one in headers if "$ref" not in one),
            *document["components"]["headers"].values(),
        ):
            assert is_typed(one["schema"]), (where, one)
        for answer in operation["responses"].values():
            for content in answer.get("content", {}).values():
                assert is_typed(content["schema"]), (where, content)


@pytest.mark.holds("API-10")
def test_a_field_is_required_or_may_be_null_as_its_type_says() -> None:
    """Of requests, what may be left out may be null; of answers, what is always sent is required, and nothing null."""
    schemas = built()["components"]["schemas"]
    asked = {f"{one.__name__}Input" if f"{one.__name__}Input" in schemas else one.__name__: one
             for one in structs([operation.request for operation in OPERATIONS])
             if one.__name__ in schemas}  # fmt: skip
    given = {one.__name__: one for one in structs([Plan, *EVENTS.values(), *(one.response for one in OPERATIONS)])}
    assert len(asked) > 40 and len(given) > 60
    for name, kind in (asked | given).items():
        schema, request = schemas[name], name in asked
        for one in msgspec.structs.fields(kind):
            declared, where = schema["properties"][one.encode_name], (name, one.name)
            nullable = {"type": "null"} in declared.get("anyOf", ()) or "null" in declared.get("type", ())
            always = one.required if request else one.default is not UNSET
            assert (one.encode_name in schema.get("required", ())) is always, where
            assert nullable is (request and not one.required), where
            assert "default" not in declared, "generators take it for something that is always there"
            if request and not one.required and one.default not in (UNSET, NODEFAULT):
                assert f"absent: {msgspec.json.encode(one.default).decode()}" in declared["description"], where


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (one for key, one in value.items() if key in ("description", "summary") and isinstance(one, str))
        value = list(value.values())
    for one in value if isinstance(value, list) else ():
        yield from texts(one)


def test_descriptions_are_texts_and_not_pieces_of_source() -> None:
    """Quotes that join two literals, inside a third one, are shown to whoever reads it."""
    told = [*texts(built())]
    assert len(told) > 500
    assert [one for one in told if re.search(r'"\s+"|  ', one) or one.count('"') % 2 or one.count("`") % 2] == []


@pytest.mark.holds("API-10")
def test_closed_sets_are_enumerations() -> None:
    schemas = built()["components"]["schemas"]
    states, permissions = [one.value for one in State], [one.value for one in Permission]
    closed = {
        ("State", None): states, ("SetState", "state"): ["STOPPED", "RUNNING", "PAUSED"],
        ("AttachmentInput", "mode"): ["USB", "BLOCK", "VIRTIO"], ("Attachment", "mode"): ["USB", "BLOCK", "VIRTIO"],
        ("NicInput", "type"): ["NAT", "BRIDGE"], ("Nic", "type"): ["NAT", "BRIDGE"],
        ("Grant", "permission"): permissions, ("Supposed", "permission"): permissions,
        ("MediumInfo", "format"): ["raw", "qcow2"], ("PoolInfo", "state"): ["online", "away", "readonly", "full"],
    }  # fmt: skip
    for (name, field), values in closed.items():
        declared = schemas[name] if field is None else schemas[name]["properties"][field]
        assert (declared["type"], sorted(declared["enum"])) == ("string", sorted(values)), (name, field)
    kinds = structs([kind for one in OPERATIONS for kind in (one.request, one.response)] + [Plan, *EVENTS.values()])
    literals = [(kind.__name__, one.name) for kind in kinds for one in msgspec.structs.fields(kind)
                if "Literal[" in str(one.type)]  # fmt: skip
    assert len(literals) > 10
    for name, field in literals:
        text = str(schemas[name]["properties"][field])
        assert "'enum'" in text or "'const'" in text, (name, field)


@pytest.mark.holds("API-10")
def test_a_body_is_required_where_a_request_without_one_is_refused() -> None:
    document = built()
    required = {}
    for operation in OPERATIONS:
        method = operation.method.name.lower()
        described = document["paths"][operation.path][method]
        if "requestBody" in described:
            required[f"{method} {operation.path}"] = described["requestBody"]["required"]
    assert not any(required[one] for one in ("post /u/user", "delete /u/auth", "patch /u/auth", "post /t/history"))
    assert all(required[one] for one in ("put /v/vm/efi", "patch /u/user", "put /u/session", "put /m/media/upload"))
    length = next(one for one in document["paths"]["/m/media/upload"]["put"]["parameters"] if "length" in one["name"])
    assert length["schema"]["minimum"] == 1


@pytest.mark.holds("API-11")
def test_every_example_is_as_its_schema_and_the_decoder_have_it() -> None:
    document = built()

    def check(where: str, example: Any, schema: Any) -> None:
        whole = {**schema, "components": document["components"]}
        problems = [one.message for one in jsonschema.Draft202012Validator(whole).iter_errors(example)]
        assert problems == [], where

    for operation in OPERATIONS:
        method = operation.method.name.lower()
        described = document["paths"][operation.path][method]
        where = f"{method} {operation.path}"
        answer = described["responses"]["200"]["content"]["application/json"]
        check(where, answer["example"], answer["schema"])
        msgspec.convert(answer["example"], operation.response)
        if body := described.get("requestBody", {}).get("content", {}).get("application/json"):
            check(where, body["example"], body["schema"])
            msgspec.convert(body["example"], operation.request)
    error = document["components"]["schemas"]["Error"]
    for example in error["examples"]:
        check("Error", example, error)


@pytest.mark.holds("API-10")
def test_every_operation_says_how_it_succeeds_and_is_refused() -> None:
    error = {"$ref": "#/components/schemas/Error"}
    for where, operation in described():
        statuses = operation["responses"]
        success = {one for one in statuses if one < "300"}
        assert success, where
        for status in success - {"101", "201", "204"} if not where.startswith("head") else ():
            assert statuses[status]["content"], where
        for status, answer in statuses.items():
            if status >= "400" and status not in ("412", "416"):
                assert answer["content"]["application/json"]["schema"] == error, (where, status)
    paths = built()["paths"]
    for one in OPERATIONS:
        if issubclass(one.request, Change):
            answer = paths[one.path][one.method.name.lower()]["responses"]["200"]
            first, _ = answer["content"]["application/json"]["schema"]["anyOf"]
            assert first == {"$ref": "#/components/schemas/Plan"}, "an empty object could be anything: it comes last"
