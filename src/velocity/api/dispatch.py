"""One request, from its operation to its answer: decode, authenticate, admit, handle, encode.

The order of failures is the contract's: 400, 401/403, 404, 406, 409.
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from velocity.api import decode, errors
from velocity.api.handlers import HANDLERS, Call
from velocity.api.handlers.base import Services
from velocity.contract.operation import Anyone, Holds, Operation
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
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return
        except Refused as refused:
            response = self._refusal(refused)
        except Exception:
            log.exception("%s failed", self._operation.name)
            response = errors.internal()
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        data = await read(request, self._limit)
        wanted, in_body = decode.body(self._operation, data)
        authkey = carried(request, in_body)
        needs = self._operation.needs
        caller = None if isinstance(needs, Anyone) else self._services.access.sessions.caller(authkey)
        if isinstance(needs, Holds):
            target = getattr(wanted, needs.on.field) if needs.on.field else None
            self._services.access.admit(needs, caller, target)
        answer = await self._handler(Call(self._services, wanted, authkey, caller, address(request)))
        return Response(_encode(answer), media_type="application/json")

    def _refusal(self, refused: Refused) -> Response:
        try:
            return errors.refusal(refused, self._operation)
        except errors.Undeclared:
            log.exception("%s met a problem that it does not declare", self._operation.name)
            return errors.internal()


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


def carried(request: Request, in_body: str | None) -> str | None:
    """The authkey: of the Authorization header, the body, or x-velocity-authkey; the first one present counts."""
    authorization = request.headers.get("authorization")
    if authorization is not None:
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return key.strip()
    if in_body is not None:
        return in_body
    return request.headers.get("x-velocity-authkey")
