"""Decodes bodies into requests: drops nulls, replaces aliases by names, and names the wrong field in messages."""

from __future__ import annotations

import functools
import re
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import msgspec
import msgspec.inspect

from velocity.contract import names
from velocity.contract.operation import PAGE, Operation, Paged, Wire
from velocity.contract.problems import Problem, Refused

Request = TypeVar("Request", bound=Wire)

_raw = msgspec.json.Decoder()
_key = msgspec.json.Decoder(dict[str, Any])


def body(operation: Operation[Request, Any], data: bytes) -> tuple[Request, str | None]:
    """The request, and the authkey that the body carries. Raises `Refused(MALFORMED)`."""
    if not data.strip():
        fields: dict[str, Any] = {}
    else:
        try:
            decoded = _raw.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refused(Problem.MALFORMED, f"the body is not JSON: {error}") from None
        except RecursionError:
            raise Refused(Problem.MALFORMED, "the body is nested too deeply: send the fields of the request") from None
        if not isinstance(decoded, dict):
            raise Refused(Problem.MALFORMED, 'the body must be a JSON object, such as {"gid": 0}')
        fields = decoded
        if b"null" in data:
            _remove_nulls(fields)
    for alias in operation.aliases:
        _rename(fields, alias.sent, alias.means, alias.inside)
    authkey = fields.get("authkey")
    if authkey is not None and not isinstance(authkey, str):
        raise Refused(Problem.MALFORMED, "authkey: expected a string", field="authkey")
    return convert(operation.request, fields), authkey


def convert(kind: type[Request], fields: Mapping[str, Any]) -> Request:
    """The fields as a request; numbers may be strings. Raises `Refused(MALFORMED)`, naming the field."""
    if named := _named(kind):
        fields = _tidied(fields, named, "")
    try:
        request = msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError as error:
        field, message = explain(str(error))
        if choices := _choices(kind, re.sub(r"\[.*?\]", "", field or "")):
            message = re.sub(r"invalid enum value (.*)", rf"\1 is none of {choices}", message)
        if issubclass(kind, Paged) and field in _PAGES:
            message += f": {_PAGES[field]}"
        raise Refused(Problem.MALFORMED, message, field=field) from None
    for name, most in _bounded(kind):
        text = getattr(request, name)
        if isinstance(text, str) and len(text.encode()) > most:
            raise Refused(Problem.MALFORMED, f"{name}: expected at most {most} bytes of UTF-8", field=name)
    return request


_PAGES = {
    "limit": f"a page holds 1 to {PAGE:,}",
    "before": "send the id of the last one of the page before, as the same list has it",
}
"""What to send instead of a wrong value for a page."""


@functools.cache
def _bounded(kind: type[Wire]) -> tuple[tuple[str, int], ...]:
    """The strings of a request whose limit is in bytes (`Meta.extra`), which msgspec does not check."""
    extras = [(one.name, meta.extra or {}) for one in msgspec.structs.fields(kind) for meta in _metas(one.type)]
    return tuple((name, extra["bytes"]) for name, extra in extras if "bytes" in extra)


Named = tuple[tuple[str, Any], ...]


@functools.cache
def _named(kind: Any) -> Named:
    """The fields of a request that hold names: field -> the kind of name, or those in each object of a list."""
    found: list[tuple[str, Any]] = []
    for one in msgspec.structs.fields(kind):
        found += [(one.name, meta.extra["name"]) for meta in _metas(one.type) if meta.extra and "name" in meta.extra]
        inner = [element for many in _lists(one.type) for element in typing.get_args(many) if isinstance(element, type)]
        found += [(one.name, deep) for element in inner if issubclass(element, Wire) and (deep := _named(element))]
    return tuple(found)


def _lists(kind: Any) -> Iterator[Any]:
    for one in (kind, *typing.get_args(kind)):
        yield from (part for part in (one, *typing.get_args(one)) if typing.get_origin(part) is list)


def _tidied(fields: Mapping[str, Any], named: Named, path: str) -> dict[str, Any]:
    """The fields with their names normalized. Raises `Refused(MALFORMED)`."""
    tidied = dict(fields)
    for field, kind in named:
        given = tidied.get(field)
        if isinstance(kind, str):
            if not isinstance(given, str):
                continue
            tidied[field] = name = names.tidy(given, "user" if kind == "user" else "object")
            if wrong := names.problem(name, "user" if kind == "user" else "object"):
                raise Refused(Problem.MALFORMED, f"{path}{field}: {wrong}", field=f"{path}{field}")
        elif isinstance(given, list):
            tidied[field] = [
                _tidied(one, kind, f"{path}{field}[{place}].") if isinstance(one, dict) else one
                for place, one in enumerate(given)
            ]
    return tidied


def _metas(kind: Any) -> Iterator[msgspec.Meta]:
    """The annotations of a type, or of the members of a union."""
    for one in (kind, *typing.get_args(kind)):
        yield from (meta for meta in getattr(one, "__metadata__", ()) if isinstance(meta, msgspec.Meta))


def explain(error: str) -> tuple[str | None, str]:
    """The field that msgspec's message is about, and the message in our words."""
    text, _, path = error.partition(" - at `")
    field = path.rstrip("`").removeprefix("key` in `").removeprefix("$").removeprefix(".") or None
    if missing := re.match(r"Object missing required field `(\w+)`(.*)", text):
        field = f"{field}.{missing[1]}" if field else missing[1]
        return field, f"{field}: this field is missing{missing[2]}"
    if text.startswith("Expected `str` matching regex"):
        last = re.sub(r"\[.*?\]$", "", field or "").rpartition(".")[2]
        text = f"expected {FORMS.get(last, 'printable characters only, one of them visible')}"
    if bound := re.match(r"Expected `str` of length ([<>])= (\d+)", text):
        which = "at least" if bound[1] == ">" else "at most"
        whose = "a password has" if field == "password" else "expected"
        text = f"{whose} {which} {bound[2]} character{'' if bound[2] == '1' else 's'}"
    text = re.sub(r"^Expected `array` of length (.*)", r"expected a list of length \1", text)
    text = re.sub(r"`(\w+)`", lambda found: _WORDS.get(found[1], found[1]), text)
    text = text[:1].lower() + text[1:]
    return field, f"{field}: {text}" if field else text


@functools.cache
def _choices(kind: type[Wire], path: str) -> str:
    """The values that the field at `path` may have, if it is an enumeration; otherwise empty."""
    values = set(_values(msgspec.inspect.type_info(kind), path.split(".")))
    return ", ".join(sorted(map(str, values), key=lambda one: (len(one), one) if one.isdigit() else (0, one)))


def _values(kind: msgspec.inspect.Type, path: list[str]) -> Iterator[object]:
    match kind:
        case msgspec.inspect.StructType(fields=fields):
            for one in fields:
                if path and one.name == path[0]:
                    yield from _values(one.type, path[1:])
        case msgspec.inspect.UnionType(types=several):
            for one_of in several:
                yield from _values(one_of, path)
        case msgspec.inspect.ListType(item_type=inner) | msgspec.inspect.Metadata(type=inner):
            yield from _values(inner, path)
        case msgspec.inspect.LiteralType(values=values):
            yield from values
        case msgspec.inspect.EnumType(cls=words):
            yield from (word.value for word in words)


FORMS = {
    "address": "a host and a port, such as 192.0.2.8:8091 or [2001:db8::8]:8091",
    "agent": "the name of a fence agent, such as fence_ipmilan, or its whole path",
    "before": "an id of that list",
    "cpu": "best, host, or a model of QEMU's such as Nehalem",
    "host_labels": "a label such as disk=ssd, or its name alone: letters, digits, ., _, - and /",
    "keys": "a public key on one line, such as `ssh-ed25519 AAAA... me`, as files that end in .pub have it",
    "labels": "letters, digits, ., _, - and /; a name begins and ends with a letter or a digit",
    "options": "names of small letters, digits, _ and ., and values of one line",
    "proof": "64 hexadecimal digits, as `velocity node join` sends them",
    "sha256": "a SHA-256: 64 hexadecimal digits, as `sha256sum FILE` gives them",
    "spread": "a word of letters, digits, ., _ and -",
    "together": "a word of letters, digits, ., _ and -",
    "token": "64 hexadecimal digits, as `velocity node join` sends them",
    "urls": "https:// or http://, a host, and no query",
    "forward_ports": "the first and the last port, as in 20000-20099",
    "host_address": "an IPv4 address of the host such as 127.0.0.1, or none for all of them",
    "mac": "a MAC address such as 52:54:00:12:34:56, no multicast address and not all zeros",
    "user": "a name such as debian: small letters, digits, -, _ and ., at most 32, no digit first",
    "ssh_keys": "a public key on one line, such as `ssh-ed25519 AAAA... me`, as files that end in .pub have it",
    "password_hash": "the hash of a password, not the password: `openssl passwd -6` makes one",
    "hostname": "a name of letters, digits and -, such as web or web.example.org",
    "packages": "the name of a package",
    "timezone": "a time zone such as Europe/Berlin",
}
"""What is expected where msgspec would quote a pattern, by the last part of the field's path. Others are names."""

_WORDS = {
    "int": "an integer",
    "str": "a string",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "float": "a number",
    "null": "null",
    "uuid": "a UUID",
}


def _remove_nulls(fields: dict[str, Any]) -> None:
    """Removes nulls from all objects in it, at any depth: msgspec decodes deeper than Python recurses."""
    left: list[Any] = [fields]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            for key in [key for key, value in one.items() if value is None]:
                del one[key]
            left += one.values()
        elif isinstance(one, list):
            left += one


def _rename(fields: dict[str, Any], sent: str, means: str, inside: str | None) -> None:
    targets = fields.get(inside, []) if inside else [fields]
    for target in targets if isinstance(targets, list) else []:
        if isinstance(target, dict) and sent in target and means not in target:
            target[means] = target[sent]
