"""Operations with JSON requests and responses: read, decode, authorize, handle, encode."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from velocity import plan
from velocity.access import lasting
from velocity.api import decode
from velocity.api.answer import Json
from velocity.api.browser import Browser
from velocity.api.endpoint import Endpoint
from velocity.api.handlers import HANDLERS, Call
from velocity.api.handlers.base import Services
from velocity.api.request import ANONYMOUS_LIMIT, STRANGER, TURN, bears_authkey, carried, idempotency_key, read
from velocity.api.request_record import RequestRecord
from velocity.contract import auth, machines, sessions
from velocity.contract.machines import State
from velocity.contract.operation import Anyone, Change, Method, Operation
from velocity.contract.problems import Refused

SIGNING = (auth.SIGN_IN, auth.SIGN_OUT, auth.RENEW, sessions.OPEN, sessions.END, sessions.RENEW)
WITHOUT_DATABASE = frozenset(one.name for one in (*SIGNING, machines.SET_STATE))
"""What works while the database cannot be written: signing in, and stopping a VM by force."""
GRACE = 1.0
"""Seconds for the rest of a body that comes with an invalid authkey: head and body may be two packets."""

_encode = msgspec.json.Encoder().encode


class Dispatch(Endpoint):
    """Serves one operation with its handler."""

    def __init__(self, operation: Operation[Any, Any], services: Services, body_limit: int) -> None:
        super().__init__(operation, services, writes=operation.method is not Method.POST or operation is auth.SIGN_IN)
        self._limit = body_limit
        self._handler = HANDLERS[operation.name]

    async def answer(self, request: Request, about: RequestRecord) -> Response:
        operation, services = self.operation, self.services
        scope = request.scope
        body = read(scope, request.receive, self._limit, services.access.sessions.find)
        try:
            sent = await (self._in_time(scope, body) if STRANGER in scope else body)
        except (TimeoutError, Refused):
            if self._judges(scope):
                services.access.sessions.caller(carried(request, None, operation.cookie))  # raises if it is at fault
            raise
        if len(sent) > ANONYMOUS_LIMIT:  # decoding it takes a while
            await services.turns.take(about.address)
        wanted, in_body = decode.body(operation, sent)
        about.wanted = wanted
        authkey = carried(request, in_body, operation.cookie)
        browser = Browser(request)
        caller, (needs, target) = self.identify(about, authkey, wanted)
        who = about.address if caller is None else caller.uid
        if scope.get(TURN) != who and not services.turns.begins(who):
            await services.turns.wait_for(who)

        async def serve() -> bytes:
            services.access.admit(needs, caller, target)
            if self.writes:
                still = None if caller is None else partial(self.check_still, caller, needs, target)
                await self._begin_change(about, still)
            about.answer = await self._handler(Call(services, wanted, authkey, caller, about.address, browser))
            return _encode(about.answer)

        if isinstance(wanted, Change) and wanted.plan is True:
            about.planned = True
            return Json(_encode(await plan.run_plan(serve)))
        key, again = idempotency_key(request.scope), False
        if key is None or caller is None or operation.method is Method.POST or operation.secret:
            response = Json(await serve())
        else:
            fingerprint = hashlib.sha256(operation.name.encode() + _encode(wanted)).digest()
            once = services.idempotency.once
            urgent, kept = _is_urgent(wanted), not operation.unkept
            answer, again = await once(caller.uid, key, fingerprint, serve, urgent=urgent, kept=kept)
            response = Json(answer)
        if browser.changes:
            browser.set_cookie_on(response)
        if again:
            response.headers["idempotent-replayed"] = "true"
        return response

    async def _begin_change(self, about: RequestRecord, still: Callable[[], None] | None) -> None:
        """`still` checks whether the caller may still make it; None: nobody has signed in."""
        about.changes = plan.note_changes()
        if still is not None:
            lasting.admitted(still)
        if self.operation.name not in WITHOUT_DATABASE:
            await self.services.outcome.check()

    async def _in_time(self, scope: Scope, body: Coroutine[Any, Any, bytes]) -> bytes:
        """The body; with an invalid authkey it has `GRACE` seconds. Raises `TimeoutError`, `Refused`."""
        if not self._judges(scope):
            return await body
        async with asyncio.timeout(GRACE):
            return await body

    def _judges(self, scope: Scope) -> bool:
        """Whether an authkey in a header is required to be valid."""
        return bears_authkey(scope["headers"]) and not isinstance(self.operation.needs, Anyone)


def _is_urgent(wanted: object) -> bool:
    return isinstance(wanted, machines.SetState) and wanted.state == State.STOPPED.value and wanted.force is True
