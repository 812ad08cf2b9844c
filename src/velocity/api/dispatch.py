"""One request, from its operation to its answer: decode, authenticate, admit, handle, encode.

The order of failures is the contract's: 400, 401/403, 404, 406, 409.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from velocity import plan
from velocity.api import decode, errors
from velocity.api.about import About
from velocity.api.browser import Browser, from_cookie
from velocity.api.handlers import HANDLERS, Call
from velocity.api.handlers.base import Services
from velocity.contract.operation import Anyone, Change, Cookie, Holds, Method, Operation
from velocity.contract.problems import Problem, Refused

log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode


class Dispatch:
    """Serves one operation. An ASGI application."""

    def __init__(self, operation: Operation[Any, Any], services: Services, body_limit: int) -> None:
        self._operation = operation
        self._services = services
        self._limit = body_limit
        self._handler = HANDLERS[operation.name]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        about = About(self._operation, address(request))
        try:
            response = await self._answer(request, about)
        except ClientDisconnect:
            return
        except Refused as refused:
            response = self._refusal(refused, about)
        except Exception:
            log.exception("%s failed (request %s)", self._operation.name, about.request)
            response = errors.internal()
        response.headers["x-request-id"] = about.request
        if about.is_history(response.status_code):
            self._services.history.note(about.entry(response.status_code))
        await response(scope, receive, send)

    async def _answer(self, request: Request, about: About) -> Response:
        data = await read(request, self._limit)
        wanted, in_body = decode.body(self._operation, data)
        about.wanted = wanted
        authkey = carried(request, in_body, self._operation.cookie)
        browser = Browser(request)
        needs = self._operation.needs
        access = self._services.access
        caller = None if isinstance(needs, Anyone) else access.sessions.caller(authkey)
        target = getattr(wanted, needs.on.field) if isinstance(needs, Holds) and needs.on.field else None
        about.who(access, caller, needs, target)

        async def serve() -> bytes:
            if isinstance(needs, Holds):
                access.admit(needs, caller, target)
            about.answer = await self._handler(Call(self._services, wanted, authkey, caller, about.address, browser))
            return _encode(about.answer)

        if isinstance(wanted, Change) and wanted.plan is True:
            about.planned = True
            return Response(_encode(await plan.of(serve)), media_type="application/json")
        key = idempotency_key(request)
        if key is None or caller is None or self._operation.method is Method.POST or self._operation.secret:
            response = Response(await serve(), media_type="application/json")
            browser.tell(response)
            return response
        fingerprint = hashlib.sha256(self._operation.name.encode() + _encode(wanted)).digest()
        answer, again = await self._services.idempotency.once(caller.uid, key, fingerprint, serve)
        response = Response(answer, media_type="application/json")
        browser.tell(response)
        if again:
            response.headers["idempotent-replayed"] = "true"
        return response

    def _refusal(self, refused: Refused, about: About) -> Response:
        try:
            response = errors.refusal(refused, self._operation)
        except errors.Undeclared:
            log.exception("%s met a problem that it does not declare", self._operation.name)
            return errors.internal()
        about.refused(refused, self._operation)
        return response


def idempotency_key(request: Request) -> str | None:
    """The Idempotency-Key of a request. Raises `Refused(MALFORMED)`."""
    key = request.headers.get("idempotency-key")
    if key is not None and not (1 <= len(key) <= 128 and key.isascii() and key.isprintable()):
        raise Refused(Problem.MALFORMED, "Idempotency-Key: expected 1 to 128 printable ASCII characters")
    return key


def address(request: Request) -> str:
    """Where a request came from; on a unix socket, from this machine."""
    return request.client.host if request.client else "local"


async def read(request: Request, limit: int) -> bytes:
    """The body, whole. Raises `Refused(BODY_TOO_LARGE)` as soon as it is known to be over the limit."""
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > limit:
        raise Refused(Problem.BODY_TOO_LARGE, f"the body has {length} bytes, the limit is {limit}")
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > limit:
            raise Refused(Problem.BODY_TOO_LARGE, f"the body is over the limit of {limit} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def carried(request: HTTPConnection, in_body: str | None, cookie: Cookie = Cookie.GUARDED) -> str | None:
    """The authkey: of the Authorization header, the body, x-velocity-authkey, or the cookie; the first present counts.

    Raises `Refused(FOREIGN_PAGE)` for a cookie that another page made be sent.
    """
    authorization = request.headers.get("authorization")
    if authorization is not None:
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return key.strip()
    if in_body is not None:
        return in_body
    in_header = request.headers.get("x-velocity-authkey")
    return from_cookie(request, cookie) if in_header is None else in_header
