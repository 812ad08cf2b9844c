"""The common path of all requests: authentication, permission, history, and the answer to a failure.

A subclass says what it serves and how its body goes. The order of failures is the contract's: 400, 401/403, 404, 406,
409.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from velocity.access.sessions import Caller
from velocity.api import errors
from velocity.api.handlers.base import Services
from velocity.api.request import STRANGER, address
from velocity.api.request_record import LEAST_REFUSAL, RequestRecord
from velocity.contract.operation import Anyone, Holds, Needs, Operation, Wire
from velocity.contract.problems import OutcomeUnknown, Refused

log = logging.getLogger(__name__)

LINGER_BYTES = 64 << 20
LINGER_SECONDS = 5.0
"""How much of a refused body is still taken, so that the client reads the answer; nothing of who is not known."""


class RequestBody:
    """The request's messages, and whether nothing more is to come."""

    __slots__ = ("_receive", "ended")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self.ended = True
        for name, value in scope["headers"]:  # whether a body follows: RFC 9112, 6.3
            if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
                self.ended = False

    async def receive(self) -> Message:
        message = await self._receive()
        self.ended = not message.get("more_body", False)
        return message


class Endpoint(abc.ABC):
    """Serves one operation. An ASGI application. `writes`: it may wait for a commit whose outcome is unknown."""

    headers: Mapping[str, str] = {}
    """What each of its answers bears."""

    def __init__(self, operation: Operation[Any, Any], services: Services, *, writes: bool = False) -> None:
        self.operation = operation
        self.services = services
        self.writes = writes
        self._field = _field(operation.needs)

    @abc.abstractmethod
    async def answer(self, request: Request, about: RequestRecord) -> Response:
        """The answer to one request. Raises `Refused`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        about, body = RequestRecord(self.operation, address(scope)), RequestBody(scope, receive)
        try:
            answer = self.answer(Request(scope, body.receive), about)
            response = await (self.services.outcome.await_commit(answer, lambda: body.ended) if self.writes else answer)
        except ClientDisconnect:
            return
        except OutcomeUnknown as error:
            response = errors.unknown(error)
        except Refused as refused:
            response = self._refusal(refused, about)
        except Exception:
            response = self._failure(about)
        if self.headers:
            response.headers.update(self.headers)
        if response.status_code >= LEAST_REFUSAL and scope["method"] == "HEAD":
            errors.tell_in_headers(response)
        response.raw_headers.append((b"x-request-id", about.request.encode()))
        if about.is_history(response.status_code) and self.is_notable(about, response):
            for entry in about.entries(response.status_code):
                self.services.history.note(entry)
        if body.ended or response.status_code < LEAST_REFUSAL:
            await response(scope, receive, send)
        elif STRANGER in scope:
            response.headers["connection"] = "close"
            await response(scope, receive, send)  # what goes on then is the connection's to bear: `Protocol`
        else:
            await _refuse(response, body, send)

    def is_notable(self, about: RequestRecord, response: Response) -> bool:
        """Whether what is history by its operation and status is noted."""
        return True

    def identify(
        self, about: RequestRecord, authkey: str | None, wanted: Wire
    ) -> tuple[Caller | None, tuple[Needs, object]]:
        """Who asks for that (None where nobody needs to be anyone); what it needs, and the id that it names of where.

        Raises `Refused`.
        """
        about.wanted = wanted
        needs, field = self.operation.needs, self._field
        if self.operation.given is not None:
            needs = self.operation.needed_by(wanted)
            field = _field(needs)
        target = None if field is None else getattr(wanted, field)
        caller = None if isinstance(needs, Anyone) else self.services.access.sessions.caller(authkey)
        about.who(self.services.access, caller, needs, target)
        return caller, (needs, target)

    def admit(self, about: RequestRecord, authkey: str | None, wanted: Wire) -> Caller:
        """Who asks for that, and may. Raises `Refused`."""
        caller, (needs, target) = self.identify(about, authkey, wanted)
        assert caller is not None, "what needs no permission admits nobody"
        self.services.access.admit(needs, caller, target)
        return caller

    def check_still(self, caller: Caller, needs: Needs, target: object) -> None:
        """Raises `Refused` when the session was ended meanwhile, or what was admitted would not be admitted any more.

        Time ends no session for what was begun in it: a long transfer outlives its authkey.
        """
        access = self.services.access
        access.sessions.present(caller)
        access.admit(needs, caller, target)

    def _refusal(self, refused: Refused, about: RequestRecord) -> Response:
        try:
            response = errors.refusal(refused, self.operation)
        except errors.Undeclared:
            return self._failure(about)
        about.refused(refused, self.operation)
        return response

    def _failure(self, about: RequestRecord) -> Response:
        log.exception("%s failed (request %s)", self.operation.name, about.request)
        return errors.internal()


def _field(needs: Needs) -> str | None:
    """The field of the request that names where the permission is looked for."""
    return needs.on.field if isinstance(needs, Holds) else None


async def _refuse(response: Response, body: RequestBody, send: Send) -> None:
    """Answer at once, then let the rest of the body run out, of which so many bytes are taken.

    A connection that is closed with bytes unread is reset, and the client would lose the answer. RFC 9112, 9.6
    """
    response.headers["connection"] = "close"
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    left = LINGER_BYTES
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while left > 0 and not body.ended:
                left -= len((await body.receive()).get("body", b""))
    await send({"type": "http.response.body", "body": b""})
