"""The common path of all requests: authentication, permission, history, and error responses.

Subclasses say what they serve and how they read its body. The order of checks is the contract's: 400, 401/403, 404,
406, 409.
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
"""How much of a refused body is still read, so that the client gets the response; nothing from unknown users."""


class RequestBody:
    """Receives a request's body, and knows whether it has ended."""

    __slots__ = ("_receive", "ended")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self.ended = True
        for name, value in scope["headers"]:  # whether there is a body: RFC 9112, 6.3
            if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
                self.ended = False

    async def receive(self) -> Message:
        message = await self._receive()
        self.ended = not message.get("more_body", False)
        return message


class Endpoint(abc.ABC):
    """Serves one operation; an ASGI application. `writes`: a request may wait for a commit whose outcome is unknown."""

    headers: Mapping[str, str] = {}
    """Sent with each response."""

    def __init__(self, operation: Operation[Any, Any], services: Services, *, writes: bool = False) -> None:
        self.operation = operation
        self.services = services
        self.writes = writes
        self._field = _field(operation.needs)

    @abc.abstractmethod
    async def answer(self, request: Request, about: RequestRecord) -> Response:
        """The response to one request. Raises `Refused`."""

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
            await response(scope, receive, send)  # `Protocol` deals with the rest of the body
        else:
            await _refuse(response, body, send)

    def is_notable(self, about: RequestRecord, response: Response) -> bool:
        """Whether a request that belongs in the history by its operation and status is recorded."""
        return True

    def identify(
        self, about: RequestRecord, authkey: str | None, wanted: Wire
    ) -> tuple[Caller | None, tuple[Needs, object]]:
        """The caller (None if none is needed), what the request needs, and the id of the object on which it needs it.

        Raises `Refused`.
        """
        about.wanted = wanted
        needs, field = self.operation.needs, self._field
        if self.operation.given is not None:
            needs = self.operation.needed_by(wanted)
            field = _field(needs)
        target = None if field is None else getattr(wanted, field)
        caller = None if isinstance(needs, Anyone) else self.services.access.sessions.caller(authkey)
        about.who(self.services, caller, needs, target)
        return caller, (needs, target)

    def admit(self, about: RequestRecord, authkey: str | None, wanted: Wire) -> Caller:
        """The caller, if they have the permission. Raises `Refused`."""
        caller, (needs, target) = self.identify(about, authkey, wanted)
        assert caller is not None, "what needs no permission admits nobody"
        self.services.access.admit(needs, caller, target)
        return caller

    def check_still(self, caller: Caller, needs: Needs, target: object) -> None:
        """Raises `Refused` if the session was ended meanwhile, or the request would not be admitted any more.

        The expiry of the authkey does not matter: a long transfer may outlast it.
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
    """The request's field with the id of the object on which the permission is needed."""
    return needs.on.field if isinstance(needs, Holds) else None


async def _refuse(response: Response, body: RequestBody, send: Send) -> None:
    """Respond at once, then read the rest of the body, within `LINGER_BYTES` and `LINGER_SECONDS`.

    Closing a connection with bytes unread resets it, and the client could lose the response. RFC 9112, 9.6
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
