"""What a request says, read from its ASGI scope and messages, without an object in between."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from velocity.api.browser import COOKIE
from velocity.contract.problems import Problem, Refused

ANONYMOUS_LIMIT = 64 << 10
"""Bytes of a body that comes without an authkey in a header."""
_COOKIE = COOKIE.encode() + b"="


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of that name, which is in lower case; header values are Latin-1 to HTTP."""
    for one, value in scope["headers"]:
        if one == name:
            return str(value, "latin-1")
    return None


def bears_authkey(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a header brings an authkey, right or wrong."""
    return any(
        name in (b"authorization", b"x-velocity-authkey") or (name == b"cookie" and _COOKIE in value)
        for name, value in headers
    )


def address(scope: Scope) -> str:
    """Where a request came from; on a unix socket, from this machine."""
    client = scope.get("client")
    return client[0] if client else "local"


def idempotency_key(scope: Scope) -> str | None:
    """The Idempotency-Key of a request. Raises `Refused(MALFORMED)`."""
    key = header(scope, b"idempotency-key")
    if key is not None and not (1 <= len(key) <= 128 and key.isascii() and key.isprintable()):
        raise Refused(Problem.MALFORMED, "Idempotency-Key: expected 1 to 128 printable ASCII characters")
    return key


async def read(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The body, whole. Raises `Refused(BODY_TOO_LARGE)` as soon as it is known to be over the limit."""
    length = header(scope, b"content-length") or ""
    little = min(limit, ANONYMOUS_LIMIT)
    if length.isdigit() and int(length) > little:
        _check_size(scope, int(length), limit)
    pieces: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        pieces.append(piece := message.get("body", b""))
        size += len(piece)
        if size > little:
            _check_size(scope, size, limit)
        more = message.get("more_body", False)
    return b"".join(pieces)


def _check_size(scope: Scope, size: int, limit: int) -> None:
    if size > limit:
        raise Refused(Problem.BODY_TOO_LARGE, f"the body has {size} bytes or more; the limit is {limit}")
    if size > ANONYMOUS_LIMIT and not bears_authkey(scope["headers"]):
        raise Refused(
            Problem.BODY_TOO_LARGE,
            f"the body has {size} bytes or more; the limit without an authkey in a header is {ANONYMOUS_LIMIT}: "
            "send `Authorization: Bearer <authkey>`",
        )
