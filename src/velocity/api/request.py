"""Reads a request from its ASGI scope and messages."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator

from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import Receive, Scope

from velocity.access.rules import Session
from velocity.access.throttle import network
from velocity.api.browser import COOKIE, from_cookie
from velocity.contract.operation import Cookie
from velocity.contract.problems import Problem, Refused

ANONYMOUS_LIMIT = 64 << 10
"""Bytes allowed for a body without a valid authkey in a header."""
Headers = Iterable[tuple[bytes, bytes]]
Find = Callable[[str], Session | None]
"""Finds the session of a valid authkey."""

STRANGER = "velocity.stranger"
"""Key in the scope of a request whose headers do not say who sends it, and whose body has not arrived with its head."""
TURN = "velocity.turn"
"""Key in the scope of a request whose connection has taken a turn for it: the user whose turn it was."""
_COOKIE = COOKIE.encode() + b"="


def header(scope: Scope, name: bytes) -> str | None:
    """The first header with this name (lower case). Header values are Latin-1."""
    for one, value in scope["headers"]:
        if one == name:
            return str(value, "latin-1")
    return None


def carried(connection: HTTPConnection, in_body: str | None, cookie: Cookie = Cookie.GUARDED) -> str | None:
    """The authkey: from Authorization, the body, x-velocity-authkey, or the cookie; the first one present counts.

    Raises `Refused(FOREIGN_PAGE)` for a cookie in a request that another page caused.
    """
    authorization = header(connection.scope, b"authorization")
    if authorization is not None:
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return key.strip()
    if in_body is not None:
        return in_body
    in_header = header(connection.scope, b"x-velocity-authkey")
    return from_cookie(connection, cookie) if in_header is None else in_header


def bears_authkey(headers: Headers) -> bool:
    """Whether a header has an authkey, valid or not."""
    return any(
        name in (b"authorization", b"x-velocity-authkey") or (name == b"cookie" and _COOKIE in value)
        for name, value in headers
    )


def is_known(headers: Headers, find: Find) -> bool:
    """Whether a header has a valid authkey."""
    return user(headers, find) is not None


def has_body(headers: Headers) -> bool:
    """Whether these headers announce a body. RFC 9112, 6.3"""
    return any(name == b"transfer-encoding" or (name == b"content-length" and value != b"0") for name, value in headers)


def user(headers: Headers, find: Find) -> int | None:
    """The user who sends a request, if its headers say so."""
    for one in _authkeys(headers):
        if session := find(str(one, "latin-1")):
            return session.uid
    return None


def sender(scope: Scope, find: Find) -> Hashable:
    """The sender of a request as its headers tell it: the user, otherwise the address."""
    uid = user(scope["headers"], find)
    return network(address(scope)) if uid is None else uid


def _authkeys(headers: Headers) -> Iterator[bytes]:
    for name, value in headers:
        if name == b"authorization":
            yield value.partition(b" ")[2].strip()
        elif name == b"x-velocity-authkey":
            yield value
        elif name == b"cookie":
            pieces = (piece.strip() for piece in value.split(b";"))
            yield from (piece[len(_COOKIE) :] for piece in pieces if piece.startswith(_COOKIE))


def address(scope: Scope) -> str:
    """The address that a request came from; "local" for a Unix socket."""
    client = scope.get("client")
    return client[0] if client else "local"


def idempotency_key(scope: Scope) -> str | None:
    """The Idempotency-Key of a request. Raises `Refused(MALFORMED)`."""
    key = header(scope, b"idempotency-key")
    if key is not None and not (1 <= len(key) <= 128 and key.isascii() and key.isprintable()):
        raise Refused(Problem.MALFORMED, "Idempotency-Key: expected 1 to 128 printable ASCII characters")
    return key


async def read(scope: Scope, receive: Receive, limit: int, find: Find) -> bytes:
    """The whole body. Raises `Refused(BODY_TOO_LARGE)` as soon as the limit is exceeded."""
    length = header(scope, b"content-length") or ""
    little = min(limit, ANONYMOUS_LIMIT)
    if length.isdigit() and int(length) > little:
        _check_size(scope, int(length), limit, find)
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
            _check_size(scope, size, limit, find)
        more = message.get("more_body", False)
    return b"".join(pieces)


def _check_size(scope: Scope, size: int, limit: int, find: Find) -> None:
    if size > limit:
        raise Refused(Problem.BODY_TOO_LARGE, f"the body has {size} bytes or more; the limit is {limit}")
    if size > ANONYMOUS_LIMIT and not is_known(scope["headers"], find):
        raise Refused(
            Problem.BODY_TOO_LARGE,
            f"the body has {size} bytes or more; the limit without an authkey in a header is {ANONYMOUS_LIMIT}: "
            "send `Authorization: Bearer <authkey>`",
        )
