"""Resumable uploads: tus 1.0.0 with the extensions creation, expiration and termination, at /m/media/tus.

https://tus.io/protocols/resumable-upload - the fields of a medium come as Upload-Metadata.
"""

from __future__ import annotations

import base64
import binascii
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import formatdate
from urllib.parse import quote

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from velocity.access.sessions import Caller
from velocity.api import errors
from velocity.api.about import About
from velocity.api.dispatch import carried
from velocity.api.handlers.base import Services
from velocity.api.request import address
from velocity.api.upload import Body, fields, refuse
from velocity.contract import media
from velocity.contract.operation import Holds
from velocity.contract.problems import OutcomeUnknown, Problem, Refused
from velocity.media.resumable import IDLE, Resumable

log = logging.getLogger(__name__)

PATH = "/m/media/tus"
VERSION = "1.0.0"
EVER = {"tus-resumable": VERSION, "cache-control": "no-store"}
ABLE = {"tus-version": VERSION, "tus-extension": "creation,expiration,termination"}
CONTENT = "application/offset+octet-stream"

Serve = Callable[[Request], Awaitable[Response]]


class TusEdge:
    """Serves the uploads. An ASGI application."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._verbs: dict[str, Serve] = {
            "OPTIONS": self._options,
            "POST": self._create,
            "HEAD": self._head,
            "PATCH": self._patch,
            "DELETE": self._delete,
        }

    def routes(self) -> list[Route]:
        """No method stands there, as a class serves them all."""
        return [Route(PATH, self), Route(PATH + "/{name}", self)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = Body(receive)
        request = Request(scope, body.receive)
        about = request.state.about = About(media.RESUMABLE, address(scope))
        try:
            response = await self._services.outcome.told(self._serve(request), lambda: body.ended)
        except ClientDisconnect:
            return  # what has come is kept: it goes on from there
        except OutcomeUnknown as error:
            response = errors.unknown(error)
        except Refused as refused:
            response = errors.refusal(refused, media.RESUMABLE)
            response.headers.update({**EVER, "x-request-id": about.request})
            about.refused(refused, media.RESUMABLE)
            if refused.problem is not Problem.UPLOAD_OFFSET and about.is_history(response.status_code):
                self._services.history.note(about.entry(response.status_code))
            await refuse(response, body, send)
            return
        except Exception:
            log.exception("a resumable upload failed")
            await refuse(errors.internal(), body, send)
            return
        response.headers.update(EVER)
        await response(scope, receive, send)

    async def _serve(self, request: Request) -> Response:
        verb = request.method
        if (override := request.headers.get("x-http-method-override")) and verb == "POST":
            verb = override.upper()
        place = ("OPTIONS", "HEAD", "PATCH", "DELETE") if "name" in request.path_params else ("OPTIONS", "POST")
        if verb not in place:
            raise Refused(Problem.METHOD_NOT_ALLOWED, f"{request.url.path} supports {', '.join(place)}, not {verb}")
        if verb != "OPTIONS" and request.headers.get("tus-resumable") != VERSION:
            return Response(status_code=412, headers=ABLE)
        return await self._verbs[verb](request)

    async def _options(self, _request: Request) -> Response:
        return Response(status_code=204, headers=ABLE)

    async def _create(self, request: Request) -> Response:
        authkey = carried(request, None)
        sent = _metadata(request.headers.get("upload-metadata", ""))
        sent["content-length"] = request.headers.get("upload-length", "")
        wanted = request.state.about.wanted = fields(sent, authkey)
        if wanted.plan is True:
            raise Refused(Problem.MALFORMED, f"to plan an upload, use PUT {media.UPLOAD.path}", field="plan")
        caller = self._admitted(request, authkey, wanted.gid)
        upload = await self._services.resumables.begin(caller, wanted)
        return Response(status_code=201, headers={"location": f"{PATH}/{upload.name}", **_state(upload)})

    async def _head(self, request: Request) -> Response:
        return Response(status_code=200, headers=_state(self._upload(request)))

    async def _patch(self, request: Request) -> Response:
        if request.headers.get("content-type") != CONTENT:
            return errors.plain(415, f"Content-Type must be {CONTENT}")
        upload = self._upload(request)
        offset = request.headers.get("upload-offset", "")
        if not (offset.isascii() and offset.isdigit() and len(offset) < 20):
            raise Refused(Problem.MALFORMED, "Upload-Offset is missing or not a number", field="upload-offset")
        try:
            medium = await upload.write(int(offset), _pieces(request))
        except Refused as refused:
            if refused.problem is not Problem.UPLOAD_OFFSET:
                await self._services.resumables.end(upload)
            raise
        headers = _state(upload)
        if medium is not None:
            headers["x-velocity-mid"] = str(medium.mid)
            headers["x-velocity-content"] = quote(msgspec.json.encode(medium.content))
            await self._services.resumables.end(upload)
            self._services.history.note(request.state.about.entry(200))
        return Response(status_code=204, headers=headers)

    async def _delete(self, request: Request) -> Response:
        await self._services.resumables.end(self._upload(request))
        return Response(status_code=204)

    def _upload(self, request: Request) -> Resumable:
        caller = self._services.access.sessions.caller(carried(request, None))
        upload = self._services.resumables.get(caller, request.path_params["name"])
        request.state.about.wanted = upload.request
        request.state.about.who(self._services.access, caller, _needs(), upload.request.gid)
        self._services.access.admit(_needs(), caller, upload.request.gid)
        return upload

    def _admitted(self, request: Request, authkey: str | None, gid: int) -> Caller:
        caller = self._services.access.sessions.caller(authkey)
        request.state.about.who(self._services.access, caller, _needs(), gid)
        self._services.access.admit(_needs(), caller, gid)
        return caller


def _needs() -> Holds:
    needs = media.UPLOAD.needs
    assert isinstance(needs, Holds)
    return needs


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    async for piece in request.stream():
        yield piece


def _state(upload: Resumable) -> dict[str, str]:
    return {
        "upload-offset": str(upload.offset),
        "upload-length": str(upload.request.length),
        "upload-expires": formatdate(time.time() + IDLE, usegmt=True),
    }


def _metadata(header: str) -> dict[str, str]:
    """The pairs of Upload-Metadata, as the headers of route 9: a key and its value in Base64."""
    sent: dict[str, str] = {}
    for pair in filter(None, header.split(",")):
        key, _, value = pair.strip().partition(" ")
        try:
            text = base64.b64decode(value, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            raise Refused(Problem.MALFORMED, f"Upload-Metadata: {key} is not UTF-8 in Base64", field=key) from None
        sent[f"x-velocity-{key}"] = quote(text) if key == "name" else text
    return sent
