"""One request, from its operation to its answer: decode, authenticate, admit, handle, encode.

The order of failures is the contract's: 400, 401/403, 404, 406, 409.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from velocity import plan
from velocity.api import decode, errors
from velocity.api.about import About
from velocity.api.answer import Json
from velocity.api.browser import Browser, from_cookie
from velocity.api.handlers import HANDLERS, Call
from velocity.api.handlers.base import Services
from velocity.api.request import address, header, idempotency_key, read
from velocity.contract import auth, machines, sessions
from velocity.contract.machines import State
from velocity.contract.operation import Anyone, Change, Cookie, Holds, Method, Operation
from velocity.contract.problems import OutcomeUnknown, Refused

log = logging.getLogger(__name__)

SIGNING = (auth.SIGN_IN, auth.SIGN_OUT, auth.RENEW, sessions.OPEN, sessions.END, sessions.RENEW)
WITHOUT_DATABASE = frozenset(one.name for one in (*SIGNING, machines.SET_STATE))
"""What is tried also while nothing can be written: signing in, and stopping a VM by force."""

_encode = msgspec.json.Encoder().encode


class Dispatch:
    """Serves one operation. An ASGI application."""

    def __init__(self, operation: Operation[Any, Any], services: Services, body_limit: int) -> None:
        self._operation = operation
        self._services = services
        self._limit = body_limit
        self._handler = HANDLERS[operation.name]
        self._field = operation.needs.on.field if isinstance(operation.needs, Holds) else None
        self._writes = operation.method is not Method.POST or operation is auth.SIGN_IN

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        about = About(self._operation, address(scope))
        try:
            answer = self._answer(scope, receive, about)
            response = await (self._services.outcome.told(answer) if self._writes else answer)
        except ClientDisconnect:
            return
        except OutcomeUnknown as error:
            response = errors.unknown(error)
        except Refused as refused:
            response = self._refusal(refused, about)
        except Exception:
            log.exception("%s failed (request %s)", self._operation.name, about.request)
            response = errors.internal()
        response.raw_headers.append((b"x-request-id", about.request.encode()))
        if about.is_history(response.status_code):
            self._services.history.note(about.entry(response.status_code))
        await response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, about: About) -> Response:
        operation = self._operation
        wanted, in_body = decode.body(operation, await read(scope, receive, self._limit))
        about.wanted = wanted
        connection = HTTPConnection(scope)
        authkey = carried(connection, in_body, operation.cookie)
        browser = Browser(connection)
        needs, field = operation.needs, self._field
        if operation.given is not None:
            needs = operation.needed_by(wanted)
            field = needs.on.field if isinstance(needs, Holds) else None
        access = self._services.access
        caller = None if isinstance(needs, Anyone) else access.sessions.caller(authkey)
        target = None if field is None else getattr(wanted, field)
        about.who(access, caller, needs, target)

        async def serve() -> bytes:
            if isinstance(needs, Holds):
                access.admit(needs, caller, target)
            if self._writes and operation.name not in WITHOUT_DATABASE:
                await self._services.outcome.check()
            about.answer = await self._handler(Call(self._services, wanted, authkey, caller, about.address, browser))
            return _encode(about.answer)

        if isinstance(wanted, Change) and wanted.plan is True:
            about.planned = True
            return Json(_encode(await plan.of(serve)))
        key = idempotency_key(scope)
        if key is None or caller is None or operation.method is Method.POST or operation.secret:
            response = Json(await serve())
            browser.tell(response)
            return response
        fingerprint = hashlib.sha256(operation.name.encode() + _encode(wanted)).digest()
        once = self._services.idempotency.once
        answer, again = await once(caller.uid, key, fingerprint, serve, urgent=_is_urgent(wanted))
        response = Json(answer)
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


def _is_urgent(wanted: object) -> bool:
    return isinstance(wanted, machines.SetState) and wanted.state == State.STOPPED.value and wanted.force is True


def carried(connection: HTTPConnection, in_body: str | None, cookie: Cookie = Cookie.GUARDED) -> str | None:
    """The authkey: of the Authorization header, the body, x-velocity-authkey, or the cookie; the first present counts.

    Raises `Refused(FOREIGN_PAGE)` for a cookie that another page made be sent.
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
