"""The OpenAPI document, from the declarations alone. https://spec.openapis.org/oas/v3.1.0"""

from __future__ import annotations

import functools
import re
from typing import Any

import msgspec

from velocity import __version__
from velocity.contract.events import EVENTS, WATCH
from velocity.contract.operation import COMMON, Anyone, Change, Cookie, Holds, Needs, Operation
from velocity.contract.plan import Plan
from velocity.contract.registry import OPERATIONS

_REF = "#/components/schemas/{name}"
_COOKIE: dict[Cookie, list[dict[str, list[str]]]] = {
    Cookie.GUARDED: [{"cookie": [], "csrf": []}],
    Cookie.BARE: [{"cookie": []}],
    Cookie.IGNORED: [],
}


@functools.cache
def document() -> bytes:
    """The whole document as JSON, made once: it takes a fifth of a second."""
    return msgspec.json.encode(build())


def build() -> dict[str, Any]:
    types = [kind for operation in OPERATIONS for kind in (operation.request, operation.response)]
    types += [Plan, *EVENTS.values()]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    by_type = dict(zip(types, schemas, strict=True))
    components = _portable(components)
    components["Error"] = _error()
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.name.lower()] = _operation(operation, by_type)
    paths[WATCH.path] = {"get": _stream(by_type)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Velocity",
            "version": __version__,
            "description": "Virtual machines for small teams and homelabs.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "x-velocity-authkey"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "velocity"},
                "csrf": {"type": "apiKey", "in": "header", "name": "x-velocity-csrf"},
            },
        },
    }


def _stream(by_type: dict[Any, Any]) -> dict[str, Any]:
    """The stream of events. OpenAPI 3.1 has no word for their types: they stand beside, by the names of the events."""
    described = _operation(WATCH, by_type)
    described["responses"]["200"] = {
        "description": f"server-sent events: {', '.join(EVENTS)}; the data of each is JSON",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
        "x-events": {name: by_type[kind] for name, kind in EVENTS.items()},
    }
    text = {"type": "string", "maxLength": 64}
    described["parameters"] = [
        {
            "name": "Last-Event-ID",
            "in": "header",
            "schema": text,
            "description": "the id of the last event received; the stream continues after it",
        },
        {
            "name": "last",
            "in": "query",
            "schema": text,
            "description": "the same, for clients that cannot send headers",
        },
    ]
    return described


def permission_text(operation: Operation[Any, Any]) -> str:
    """What an operation needs, as sentences."""
    if operation.given is None:
        return _needed(operation.needs)
    return f"{_needed(operation.needs)} With `{operation.given.field}`: {_needed(operation.given.needs)}"


def _needed(needs: Needs) -> str:
    if not isinstance(needs, Holds):
        return f"No permission is needed: {needs.reason}."
    return f"Needs `{needs.permission.value}` {needs.on.value}{' (oneself: none)' if needs.oneself else ''}."


def _operation(operation: Operation[Any, Any], by_type: dict[Any, Any]) -> dict[str, Any]:
    answers: dict[str, Any] = {
        "200": {"description": "done", "content": {"application/json": {"schema": _answer(operation, by_type)}}}
    }
    common = [failure for failure in COMMON if failure.status != 401 or not isinstance(operation.needs, Anyone)]
    for failure in sorted([*common, *operation.failures], key=lambda one: (one.status, one.code)):
        entry = answers.setdefault(
            str(failure.status),
            {"description": "", "content": {"application/json": {"schema": {"$ref": _REF.format(name="Error")}}}},
        )
        entry["description"] += f"{'; ' if entry['description'] else ''}{failure.code}: {failure.text}"
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": permission_text(operation),
        "tags": [operation.path.split("/")[1]],
        "responses": answers,
    }
    if not isinstance(operation.needs, Anyone):
        described["security"] = [{"bearer": []}, {"header": []}, *_COOKIE[operation.cookie]]
    if operation.streams:
        described["requestBody"] = {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
        described["parameters"] = [_header(field) for field in msgspec.structs.fields(operation.request)]
    elif msgspec.structs.fields(operation.request):
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": by_type[operation.request]}},
        }
    return described


def _answer(operation: Operation[Any, Any], by_type: dict[Any, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = by_type[operation.response]
    return {"anyOf": [schema, by_type[Plan]]} if issubclass(operation.request, Change) else schema


def _header(field: msgspec.structs.FieldInfo) -> dict[str, Any]:
    schema = _portable(msgspec.json.schema(field.type))
    if field.name in ("readonly", "plan"):
        schema = {"type": "string", "enum": ["true", "false"]}
    return {
        "name": f"x-velocity-{field.name}",
        "in": "header",
        "required": field.required and field.name != "length",
        "schema": schema,
    }


def _error() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["code", "message", "reason", "error"],
        "properties": {
            "code": {"type": "integer"},
            "message": {"type": "string"},
            "reason": {"type": "string", "description": "the same as `message`"},
            "error": {"type": "boolean", "const": True},
            "field": {"type": "string", "description": "the field that caused the refusal"},
        },
    }


def _portable(schema: Any) -> Any:
    r"""Python's `\Z` is `$` to a JSON schema, whose patterns are ECMA-262's; surrogates cannot be in UTF-8 anyway.

    `x-minimum` is the bound where another one than the decoder's holds.
    """
    if isinstance(schema, dict):
        found = {
            key: _pattern(value) if key == "pattern" and isinstance(value, str) else _portable(value)
            for key, value in schema.items()
        }
        if (least := found.pop("x-minimum", None)) is not None:
            found["minimum"] = least
        return found
    if isinstance(schema, list):
        return [_portable(one) for one in schema]
    return schema


def _pattern(pattern: str) -> str:
    return re.sub(r"\\ud800-\\udfff", "", pattern).replace(r"\Z", "$")
