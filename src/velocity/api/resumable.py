"""Resumable uploads: tus 1.0.0 with the extensions creation, expiration and termination, at /m/media/tus.

https://tus.io/protocols/resumable-upload - the fields of a medium are sent as Upload-Metadata.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import formatdate
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from velocity.access.lasting import WhileAllowed
from velocity.access.sessions import Caller
from velocity.api import errors
from velocity.api.endpoint import Endpoint
from velocity.api.handlers.base import Services
from velocity.api.request import carried
from velocity.api.request_record import LEAST_REFUSAL, RequestRecord
from velocity.api.upload import created, fields, still_allowed
from velocity.contract import media
from velocity.contract.media import ResumableUpload
from velocity.contract.problems import Problem, Refused
from velocity.media.resumable import IDLE
from velocity.media.resumable_upload import Resumable

PATH = "/m/media/tus"
VERSION = "1.0.0"
EVER = {"tus-resumable": VERSION, "cache-control": "no-store"}
ABLE = {"tus-version": VERSION, "tus-extension": "creation,expiration,termination"}
CONTENT = "application/offset+octet-stream"

WRONG_OFFSET = media.RESUMABLE.by_problem[Problem.UPLOAD_OFFSET].code

Serve = Callable[[Request, RequestRecord], Awaitable[Response]]


class Tus(Endpoint):
    """Serves the uploads. What has arrived is kept when the connection breaks or the permission ends."""

    headers = EVER

    def __init__(self, services: Services) -> None:
        super().__init__(media.RESUMABLE, services, writes=True)
        self._verbs: dict[str, Serve] = {
            "OPTIONS": self._options,
            "POST": self._create,
            "HEAD": self._head,
            "PATCH": self._patch,
            "DELETE": self._delete,
        }

    def routes(self) -> list[Route]:
        """The routes, without methods, as the endpoint serves all of them."""
        return [Route(PATH, self), Route(PATH + "/{name}", self)]

    def is_notable(self, about: RequestRecord, response: Response) -> bool:
        """Only the request that completes the upload is a change; a wrong offset is a part of the protocol."""
        if response.status_code < LEAST_REFUSAL:
            return about.answer is not None
        return about.code != WRONG_OFFSET

    async def answer(self, request: Request, about: RequestRecord) -> Response:
        verb = request.method
        if (override := request.headers.get("x-http-method-override")) and verb == "POST":
            verb = override.upper()
        place = ("OPTIONS", "HEAD", "PATCH", "DELETE") if "name" in request.path_params else ("OPTIONS", "POST")
        if verb not in place:
            return errors.not_allowed(request.scope["path"], place, verb)
        if verb != "OPTIONS" and request.headers.get("tus-resumable") != VERSION:
            return Response(status_code=412, headers=ABLE)
        return await self._verbs[verb](request, about)

    async def _options(self, _request: Request, _about: RequestRecord) -> Response:
        return Response(status_code=204, headers=ABLE)

    async def _create(self, request: Request, about: RequestRecord) -> Response:
        authkey = carried(request, None)
        sent = _metadata(request.headers.get("upload-metadata", ""))
        sent["content-length"] = request.headers.get("upload-length", "")
        wanted = about.wanted = fields(sent, authkey, ResumableUpload)
        if wanted.plan is True:
            raise Refused(Problem.MALFORMED, f"to plan an upload, use PUT {media.UPLOAD.path}", field="plan")
        upload = await self.services.resumables.begin(self.admit(about, authkey, wanted), wanted)
        return Response(status_code=201, headers={"location": f"{PATH}/{upload.name}", **_state(upload)})

    async def _head(self, request: Request, about: RequestRecord) -> Response:
        return Response(status_code=200, headers=_state(self._upload(request, about)[1]))

    async def _patch(self, request: Request, about: RequestRecord) -> Response:
        if request.headers.get("content-type") != CONTENT:
            return errors.plain(415, f"Content-Type must be {CONTENT}")
        caller, upload = self._upload(request, about)
        offset = request.headers.get("upload-offset", "")
        if not (offset.isascii() and offset.isdigit() and len(offset) < 20):
            raise Refused(Problem.MALFORMED, "Upload-Offset is missing or not a number", field="upload-offset")
        async with WhileAllowed(still_allowed(self, caller, upload.request)) as right:
            try:
                medium = await upload.write(int(offset), _pieces(request, right), right.settle)
            except Refused as refused:
                stays = refused.problem is Problem.UPLOAD_OFFSET or refused is right.refused
                if not stays and not _waits(refused, upload):
                    await self.services.resumables.end(upload)
                raise
        headers = _state(upload)
        if medium is not None:
            headers["x-velocity-mid"] = str(medium.mid)
            headers["x-velocity-size"] = str(medium.size)
            headers["x-velocity-content"] = quote(msgspec.json.encode(medium.content))
            if upload.unwrapped:
                headers["x-velocity-unwrapped"] = "true"
            about.answer = created(medium, unwrapped=upload.unwrapped)
            if upload.complete is None:
                await self.services.resumables.end(upload)
        return Response(status_code=204, headers=headers)

    async def _delete(self, request: Request, about: RequestRecord) -> Response:
        await self.services.resumables.end(self._upload(request, about)[1])
        return Response(status_code=204)

    def _upload(self, request: Request, about: RequestRecord) -> tuple[Caller, Resumable]:
        """The caller, and their upload of the name in the path."""
        authkey = carried(request, None)
        caller = self.services.access.sessions.caller(authkey)
        upload = self.services.resumables.get(caller, request.path_params["name"])
        self.admit(about, authkey, upload.request)
        self.services.resumables.wait(upload)
        return caller, upload


def _waits(refused: Refused, upload: Resumable) -> bool:
    """Whether the upload is kept and can continue once what does not respond does again."""
    problem = refused.problem
    if not upload.is_open:
        return problem in (Problem.POOL_AWAY, Problem.UNAVAILABLE)
    return problem is Problem.UNAVAILABLE and upload.is_whole


async def _pieces(request: Request, right: WhileAllowed) -> AsyncIterator[bytes]:
    async for piece in request.stream():
        right.check()
        yield piece


def _state(upload: Resumable) -> dict[str, str]:
    return {
        "upload-offset": str(upload.size),
        "upload-length": str(upload.request.length),
        "upload-expires": formatdate(time.time() + IDLE, usegmt=True),
    }


def _metadata(header: str) -> dict[str, str]:
    """The pairs of Upload-Metadata (a key and its value in Base64) as the headers of route 9."""
    sent: dict[str, str] = {}
    for pair in filter(None, header.split(",")):
        key, _, value = pair.strip().partition(" ")
        try:
            text = base64.b64decode(value, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            raise Refused(Problem.MALFORMED, f"Upload-Metadata: {key} is not UTF-8 in Base64", field=key) from None
        sent[f"x-velocity-{key}"] = quote(text) if key == "name" else text
    return sent
