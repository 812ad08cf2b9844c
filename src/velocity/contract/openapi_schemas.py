"""The schemas of the OpenAPI document: msgspec's, adapted for client generators.

Optional fields of requests may also be null; fields that responses always contain are required. A type in both that
differs appears twice, as `...Input` for requests.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Sequence
from typing import Any

import msgspec

Schema = dict[str, Any]

_REF = "#/components/schemas/{name}"
_TYPES = {bool: "boolean", str: "string", int: "integer"}


def reference(name: str) -> Schema:
    return {"$ref": _REF.format(name=name)}


def components(requests: Sequence[Any], answers: Sequence[Any]) -> tuple[dict[Any, Schema], dict[str, Schema]]:
    """The schemas of these types, and the components that they refer to."""
    asked, of_requests = msgspec.json.schema_components(requests, ref_template=_REF)
    given, of_answers = msgspec.json.schema_components(answers, ref_template=_REF)
    of_requests = {name: _of_request(portable(one)) for name, one in of_requests.items()}
    of_answers = {name: _of_answer(portable(one)) for name, one in of_answers.items()}
    twice = {name for name in of_requests if of_requests[name] != of_answers.get(name, of_requests[name])}
    renamed = {name: _renamed(one, twice) for name, one in of_requests.items() if name not in twice}
    renamed |= {f"{name}Input": {**of_requests[name], "title": f"{name}Input"} for name in twice}
    by_type = dict(zip([*requests, *answers], portable([*asked, *given]), strict=True))
    return by_type, dict(sorted((of_answers | renamed).items()))


def portable(schema: Any) -> Any:
    r"""The schema in a form that other languages support: enums have a type, and patterns are ECMA-262.

    `\Z` becomes `$`, and surrogates are removed. `x-minimum` is a bound that the decoder does not check.
    """
    if isinstance(schema, list):
        return [portable(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: portable(value) for key, value in schema.items()}
    if isinstance(pattern := schema.get("pattern"), str):
        found["pattern"] = re.sub(r"\\ud800-\\udfff", "", pattern).replace(r"\Z", "$")
    if isinstance(text := schema.get("description"), str):
        found["description"] = inspect.cleandoc(text)
    if (least := found.pop("x-minimum", None)) is not None:
        found["minimum"] = least
    if isinstance(values := schema.get("enum"), list):
        found["type"] = _TYPES[type(values[0])]
        if len(values) == 1:
            found["const"] = found.pop("enum")[0]
    return found


def _of_request(schema: Schema) -> Schema:
    """Optional fields may be null, and their descriptions say what absent means.

    There is no `default`: generators would take such fields as always present.
    """
    optional = schema.get("properties", {}).keys() - set(schema.get("required", ()))
    return schema | _properties(schema, {name: _nullable(schema["properties"][name]) for name in optional})


def _of_answer(schema: Schema) -> Schema:
    """Fields with a default are always present."""
    always = {name: one for name, one in schema.get("properties", {}).items() if "default" in one}
    plain = {name: {key: value for key, value in one.items() if key != "default"} for name, one in always.items()}
    required = [*schema.get("required", ()), *always]
    return schema | _properties(schema, plain) | ({"required": required} if required else {})


def _properties(schema: Schema, changed: dict[str, Schema]) -> Schema:
    """The properties of a schema, in order."""
    return {"properties": {**schema["properties"], **changed}} if changed else {}


def _nullable(schema: Schema) -> Schema:
    found = {key: value for key, value in schema.items() if key != "default"}
    if "default" in schema:
        absent = "none" if schema["default"] == [] else json.dumps(schema["default"])
        text = found.get("description")
        found["description"] = f"{text}; absent: {absent}" if text else f"absent: {absent}"
    if "anyOf" in found:
        return {**found, "anyOf": [*found["anyOf"], {"type": "null"}]}
    if not found.keys() & {"enum", "const", "$ref"}:
        return {**found, "type": [found["type"], "null"]}
    said = {"description": found.pop("description")} if "description" in found else {}
    return {**said, "anyOf": [found, {"type": "null"}]}


def _renamed(schema: Any, twice: set[str]) -> Any:
    """The schema with the names of requests for types that appear twice."""
    if isinstance(schema, list):
        return [_renamed(one, twice) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(target := schema.get("$ref"), str) and (name := target.rpartition("/")[2]) in twice:
        return {**schema, **reference(f"{name}Input")}
    return {key: _renamed(value, twice) for key, value in schema.items()}
