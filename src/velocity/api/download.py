"""Downloads of media: GET /m/media/content/<mid>, with ranges. RFC 9110, 14."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from email.utils import formatdate
from secrets import token_hex
from urllib.parse import quote
from uuid import UUID

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from velocity.access.lasting import Check, WhileAllowed
from velocity.api.endpoint import Endpoint
from velocity.api.handlers.base import Services
from velocity.api.ranges import Malformed, NotSatisfiable, parse
from velocity.api.request import carried
from velocity.api.request_record import RequestRecord
from velocity.api.server import cut
from velocity.contract import media
from velocity.contract.problems import Problem, Refused
from velocity.media.rules import CALL_DEADLINE
from velocity.storage.port import Outgoing

log = logging.getLogger(__name__)

CHUNK = 1 << 20
"""Each chunk costs a round trip to a thread: with chunks of 64 KiB, a download costs four times as much."""


class Content(StreamingResponse):
    """The bytes of a medium, or the requested ranges of them; closes `held` at the end.

    Calls `still` before each chunk: if that raises, the connection is cut, so that the client sees that bytes are
    missing.
    """

    def __init__(
        self, content: Outgoing, headers: dict[str, str], filename: str, still: Check, held: AsyncExitStack
    ) -> None:
        super().__init__((), headers=headers, media_type="application/octet-stream")
        self._content = content
        self._still = still
        self._held = held
        self._size = content.stat.size
        quoted = quote(filename)
        name = f'filename="{filename}"' if quoted == filename else f"filename*=utf-8''{quoted}"
        tag = f"{content.stat.modified}-{self._size}".encode()
        self.headers["accept-ranges"] = "bytes"
        self.headers["content-disposition"] = f"attachment; {name}"
        self.headers["content-length"] = str(self._size)
        self.headers["last-modified"] = formatdate(content.stat.modified, usegmt=True)
        self.headers["etag"] = f'"{hashlib.md5(tag, usedforsecurity=False).hexdigest()}"'

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._held:
            try:
                async with WhileAllowed(self._still):
                    await self._answer(Headers(scope=scope), scope["method"])(scope, receive, send)
            except Refused as refused:
                log.info("a download ends: %s", refused.message)
                await cut(scope, receive)

    def _answer(self, asked: Headers, method: str) -> ASGIApp:
        wanted, condition = asked.get("range"), asked.get("if-range")
        current = condition is None or condition in (self.headers["last-modified"], self.headers["etag"])
        try:
            ranges = parse(wanted, self._size) if wanted is not None and current else []
        except Malformed as error:
            return PlainTextResponse(str(error), status_code=400)
        except NotSatisfiable:
            return PlainTextResponse(status_code=416, headers={"content-range": f"bytes */{self._size}"})
        pieces = self._multipart(ranges) if len(ranges) > 1 else self._single(*ranges)
        if method != "HEAD":
            self.body_iterator = pieces
        return super().__call__

    def _single(self, asked: tuple[int, int] | None = None) -> AsyncIterator[bytes]:
        """One range; everything, if none is requested."""
        first, end = asked or (0, self._size)
        if asked is not None:
            self.status_code = 206
            self.headers["content-range"] = f"bytes {first}-{end - 1}/{self._size}"
            self.headers["content-length"] = str(end - first)
        return self._pieces(first, end)

    async def _pieces(self, at: int, end: int) -> AsyncIterator[bytes]:
        while at < end and (piece := await self._content.read(at, min(CHUNK, end - at))):
            self._still()
            yield piece
            at += len(piece)

    def _multipart(self, ranges: list[tuple[int, int]]) -> AsyncIterator[bytes]:
        """Several ranges, as multipart/byteranges. RFC 9110, 14.6"""
        boundary, kind = token_hex(13), self.headers["content-type"]
        heads = [
            f"--{boundary}\r\nContent-Type: {kind}\r\nContent-Range: bytes {first}-{end - 1}/{self._size}\r\n\r\n"
            for first, end in ranges
        ]
        last = f"--{boundary}--"
        self.status_code = 206
        self.headers["content-type"] = f"multipart/byteranges; boundary={boundary}"
        length = sum(len(head) + end - first + 2 for head, (first, end) in zip(heads, ranges, strict=True)) + len(last)
        self.headers["content-length"] = str(length)

        async def parts() -> AsyncIterator[bytes]:
            for head, (first, end) in zip(heads, ranges, strict=True):
                yield head.encode("latin-1")
                async for piece in self._pieces(first, end):
                    yield piece
                yield b"\r\n"
            yield last.encode()

        return parts()


class Download(Endpoint):
    """Serves the bytes as they are in the pool: a qcow2 medium is a qcow2 file."""

    def __init__(self, services: Services) -> None:
        super().__init__(media.DOWNLOAD, services)

    async def answer(self, request: Request, about: RequestRecord) -> Response:
        try:
            mid = UUID(request.path_params["mid"])
        except ValueError:
            raise Refused(Problem.MALFORMED, "mid: expected a UUID", field="mid") from None
        caller = self.admit(about, carried(request, None), media.MediumRequest(mid=mid))
        services, library = self.services, self.services.library
        await services.pool_states.check(library.get(mid).mpid, writes=False)
        medium = library.get(mid)
        headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
        async with AsyncExitStack() as held:
            check_unwritten = held.enter_context(services.sources.downloading(medium))
            content = await services.blobs.get(medium.ref, deadline=CALL_DEADLINE)
            held.push_async_callback(content.close)

            def still() -> None:
                self.check_still(caller, self.operation.needs, mid)
                library.get(mid)
                check_unwritten()

            still()
            return Content(content, headers, medium.name, still, held.pop_all())
