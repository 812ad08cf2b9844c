"""The OpenAPI document, generated from the declarations. https://spec.openapis.org/oas/v3.1.0"""

from __future__ import annotations

import functools
from typing import Any

import msgspec

from velocity import __version__
from velocity.contract import openapi_protocols, openapi_schemas
from velocity.contract.events import EVENTS
from velocity.contract.examples import example
from velocity.contract.media import UploadMedium
from velocity.contract.operation import COMMON, Anyone, Change, Cookie, Holds, Method, Needs, Operation
from velocity.contract.phrases import PHRASES
from velocity.contract.plan import Plan
from velocity.contract.registry import OPERATIONS

_COOKIE: dict[Cookie, list[dict[str, list[str]]]] = {
    Cookie.GUARDED: [{"cookie": [], "csrf": []}],
    Cookie.BARE: [{"cookie": []}],
    Cookie.IGNORED: [],
}


_HEADERS = {
    "RequestId": {"schema": {"type": "string"}, "description": "the id of the request, as in the server's log"},
    "RetryAfter": {"schema": {"type": "integer", "minimum": 0}, "description": "seconds to wait before the next try"},
    "IdempotentReplayed": {
        "schema": {"type": "string", "const": "true"},
        "description": "the Idempotency-Key was used before: this is the original answer",
    },
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    "description": "a key chosen by the client: however often a request is sent with it, it is carried out once",
}
_ABOUT = """Virtual machines for small teams and homelabs.

The authkey of POST /u/auth comes as `Authorization: Bearer`, as `x-velocity-authkey`, or as a field `authkey` of the
JSON body. In requests, null is the same as an absent field, numbers may be quoted, and unknown fields are ignored.

Lists are complete, or in pages: `limit` is the largest number of entries in a page, highest id first. Send the last id
as `before` to get the next page; a page with fewer entries than the limit is the last one. Objects that are created or
removed meanwhile neither repeat nor hide an entry."""


@functools.cache
def document() -> bytes:
    """The document as JSON, generated once, which takes a fifth of a second."""
    return msgspec.json.encode(build())


def build() -> dict[str, Any]:
    requests = [operation.request for operation in OPERATIONS]
    answers = [*(operation.response for operation in OPERATIONS), Plan, *EVENTS.values()]
    by_type, components = openapi_schemas.components(requests, answers)
    components["Error"] = _error()
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.name.lower()] = _operation(operation, by_type)
    for path, methods in openapi_protocols.paths(_shared, {name: by_type[one] for name, one in EVENTS.items()}).items():
        paths.setdefault(path, {}).update(methods)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Velocity",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "x-history": msgspec.to_builtins(PHRASES),
        "components": {
            "schemas": dict(sorted(components.items())),
            "headers": _HEADERS,
            "parameters": {"IdempotencyKey": _IDEMPOTENCY_KEY},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "x-velocity-authkey"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "velocity"},
                "csrf": {"type": "apiKey", "in": "header", "name": "x-velocity-csrf"},
            },
        },
    }


def permission_text(operation: Operation[Any, Any]) -> str:
    """What an operation needs, in sentences."""
    if operation.given is None:
        return _needed(operation.needs)
    return f"{_needed(operation.needs)} With `{operation.given.field}`: {_needed(operation.given.needs)}"


def _needed(needs: Needs) -> str:
    if not isinstance(needs, Holds):
        return f"No permission is needed: {needs.reason}."
    none = " (oneself: none)" if needs.oneself else " (the user who began it: none)" if needs.own else ""
    return f"Needs `{needs.permission.value}` {needs.on.value}{none}."


def _shared(operation: Operation[Any, Any], name: str) -> dict[str, Any]:
    """What all descriptions of operations contain: permissions and errors."""
    common = [failure for failure in COMMON if failure.status != 401 or not isinstance(operation.needs, Anyone)]
    answers: dict[str, Any] = {}
    for failure in sorted([*common, *operation.failures], key=lambda one: (one.status, one.code)):
        entry = answers.setdefault(str(failure.status), _answer("", openapi_schemas.reference("Error"), failure.status))
        entry["description"] += f"{'; ' if entry['description'] else ''}{failure.code}: {failure.text}"
    signed_in = not isinstance(operation.needs, Anyone)
    return {
        "operationId": name,
        "summary": operation.summary,
        "description": permission_text(operation),
        "tags": [operation.path.split("/")[1]],
        "responses": answers,
        **({"security": [{"bearer": []}, {"header": []}, *_COOKIE[operation.cookie]]} if signed_in else {}),
    }


def _operation(operation: Operation[Any, Any], by_type: dict[Any, Any]) -> dict[str, Any]:
    described = _shared(operation, operation.name)
    schema, shown = by_type[operation.response], example(operation.response)
    if issubclass(operation.request, Change):  # plan first, as an empty object matches every alternative
        schema = {"anyOf": [by_type[Plan], schema]}
    described["responses"] = {"200": _answer("done", schema, 200, shown), **described["responses"]}
    fields = msgspec.structs.fields(operation.request)
    if operation.streams:
        described["requestBody"] = {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
        described["parameters"] = [_header(field) for field in fields]
    elif fields:
        body = {"schema": by_type[operation.request], "example": example(operation.request)}
        described["requestBody"] = {"required": _needs_body(operation), "content": {"application/json": body}}
    if operation.method is not Method.POST and not operation.streams and not operation.secret:
        described["parameters"] = [{"$ref": "#/components/parameters/IdempotencyKey"}]
        described["responses"]["200"]["headers"]["Idempotent-Replayed"] = {
            "$ref": "#/components/headers/IdempotentReplayed"
        }
    return described


def _needs_body(operation: Operation[Any, Any]) -> bool:
    """Whether a request without fields would be refused."""
    try:
        msgspec.convert({}, operation.request)
    except msgspec.ValidationError:
        return True
    return False


def _answer(description: str, schema: dict[str, Any], status: int, shown: Any = None) -> dict[str, Any]:
    headers = {"x-request-id": {"$ref": "#/components/headers/RequestId"}}
    if status in (429, 503):
        headers["Retry-After"] = {"$ref": "#/components/headers/RetryAfter"}
    content = {"schema": schema} if shown is None else {"schema": schema, "example": shown}
    return {"description": description, "headers": headers, "content": {"application/json": content}}


def _header(field: msgspec.structs.FieldInfo) -> dict[str, Any]:
    schema = openapi_schemas.portable(msgspec.json.schema(field.type))
    if field.name in ("readonly", "plan"):
        schema = {"type": "string", "enum": ["true", "false"]}
    shown = example(UploadMedium).get(field.name)
    return {
        "name": f"x-velocity-{field.name}",
        "in": "header",
        "required": field.required and field.name != "length",
        "schema": schema,
        **({} if shown is None else {"example": "true" if shown is True else shown}),
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
            "outcome": {"type": "string", "const": "unknown", "description": "the change may have been made"},
        },
        "examples": [{"code": 404, "message": "no such route", "reason": "no such route", "error": True}],
    }
