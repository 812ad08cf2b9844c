"""Route 9: an upload, whose fields come as headers and whose body is the file."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import UNSET
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from velocity import plan
from velocity.access.sessions import Caller
from velocity.api import decode, errors
from velocity.api.about import About
from velocity.api.dispatch import carried
from velocity.api.handlers.base import Services
from velocity.api.request import address
from velocity.contract import media
from velocity.contract.media import UploadMedium
from velocity.contract.operation import Holds
from velocity.contract.problems import OutcomeUnknown, Problem, Refused

log = logging.getLogger(__name__)

PREFIX = "x-velocity-"
LINGER_BYTES = 64 << 20
LINGER_SECONDS = 5.0
"""How much of a refused body is still taken, so that the client reads the answer."""
MISSING = {
    "length": Problem.NO_LENGTH,
    "authkey": Problem.NO_AUTHKEY,
    "mpid": Problem.NO_MPID,
    "gid": Problem.NO_GID,
    "name": Problem.NO_NAME,
    "type": Problem.NO_TYPE,
    "readonly": Problem.NO_READONLY,
    "sha256": Problem.MALFORMED,
}


class UploadEdge:
    """Serves uploads in constant memory. An ASGI application."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = Body(receive)
        request = Request(scope, body.receive)
        about = About(media.UPLOAD, address(scope))
        try:
            response = await self._services.outcome.told(self._answer(request, about), lambda: body.ended)
        except ClientDisconnect:
            return  # cut off: what had come is gone by now
        except OutcomeUnknown as error:
            response = errors.unknown(error)
        except Refused as refused:
            response = errors.refusal(refused, media.UPLOAD)
            about.refused(refused, media.UPLOAD)
            self._note(about, response)
            await refuse(response, body, send)
            return
        except Exception:
            log.exception("an upload failed")
            await refuse(errors.internal(), body, send)
            return
        self._note(about, response)
        await response(scope, receive, send)

    async def _plan(self, caller: Caller, wanted: UploadMedium) -> None:
        async with self._services.creation.receive(caller, wanted):
            pass

    def _note(self, about: About, response: Response) -> None:
        response.headers["x-request-id"] = about.request
        if about.is_history(response.status_code):
            self._services.history.note(about.entry(response.status_code))

    async def _answer(self, request: Request, about: About) -> Response:
        authkey = carried(request, None)
        wanted = about.wanted = fields(request.headers, authkey)
        caller = self._services.access.sessions.caller(authkey)
        needs = media.UPLOAD.needs
        assert isinstance(needs, Holds)
        about.who(self._services.access, caller, needs, wanted.gid)
        self._services.access.admit(needs, caller, wanted.gid)
        if wanted.plan is True:
            about.planned = True
            would = await plan.of(lambda: self._plan(caller, wanted))
            return Response(msgspec.json.encode(would), media_type="application/json")
        async with self._services.creation.receive(caller, wanted) as upload:
            async for piece in request.stream():
                if piece:
                    await upload.write(piece)
            medium = await upload.finish()
        answer = media.MediumCreated(mid=medium.mid, size=medium.size, content=medium.content)
        return Response(msgspec.json.encode(answer), media_type="application/json")


class Body:
    """The request's messages, and whether the last one has come."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.ended = False

    async def receive(self) -> Message:
        message = await self._receive()
        self.ended = not message.get("more_body", False)
        return message


async def refuse(response: Response, body: Body, send: Send) -> None:
    """Answer at once, then let a bounded rest of the body run out.

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


def fields(headers: Mapping[str, str], authkey: str | None) -> UploadMedium:
    """The request that the headers make. Raises `Refused` with the problem of the first header that is wrong."""
    planned = headers.get(PREFIX + "plan", "false")
    if planned not in ("true", "false"):
        raise Refused(Problem.MALFORMED, f"{_header('plan')} must be true or false", field=_header("plan"))
    # The file is not sent for a plan, so that Content-Length is not its length.
    length = (None if planned == "true" else headers.get("content-length")) or headers.get(PREFIX + "length")
    sent: dict[str, Any] = {"length": length, "authkey": authkey}
    for name in ("mpid", "gid", "name", "type", "readonly", "sha256"):
        sent[name] = headers.get(PREFIX + name)
    for name in ("length", "authkey", "mpid", "gid", "name", "type", "readonly"):
        if sent[name] is None:
            raise Refused(MISSING[name], f"the header {_header(name)} is missing", field=_header(name))
    for name in ("length", "mpid", "gid"):
        sent[name] = _number(name, sent[name])
    sent["name"] = _name(sent["name"])
    if sent["readonly"] not in ("true", "false"):
        raise Refused(Problem.NO_READONLY, f"{_header('readonly')} must be true or false", field=_header("readonly"))
    sent["readonly"] = sent["readonly"] == "true"
    sent["plan"] = planned == "true" or UNSET
    if sent["sha256"] is None:
        sent["sha256"] = UNSET
    try:
        return decode.convert(UploadMedium, {key: value for key, value in sent.items() if value is not UNSET})
    except Refused as refused:
        name = refused.field or "length"
        raise Refused(MISSING[name], f"{_header(name)}: {refused.message}", field=_header(name)) from None


def _number(name: str, text: str) -> int:
    try:
        number = int(text) if text.isascii() and text.lstrip("-").isdigit() else None
    except ValueError:
        number = None
    if number is None or (name == "length" and number < 1):
        raise Refused(
            MISSING[name], f"{_header(name)} is {text!r}, which is not a possible number", field=_header(name)
        )
    return number


def _name(text: str) -> str:
    """Header values are bytes in Latin-1 to HTTP; the name may be UTF-8 as it is, or percent-encoded."""
    try:
        return unquote_to_bytes(text.encode("latin-1")).decode("utf-8")
    except UnicodeError:
        raise Refused(Problem.NO_NAME, f"{_header('name')} is not UTF-8", field=_header("name")) from None


def _header(name: str) -> str:
    return {"length": "Content-Length (or x-velocity-length)"}.get(name, PREFIX + name)
