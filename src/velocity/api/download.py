"""Downloads of media: GET /m/media/content/<mid>, with ranges. RFC 9110, 14."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from velocity.api.about import About
from velocity.api.endpoint import Endpoint
from velocity.api.handlers.base import Services
from velocity.api.request import carried
from velocity.contract import media
from velocity.contract.problems import Problem, Refused
from velocity.media.rules import CALL_DEADLINE
from velocity.storage.port import Outgoing, Stat


class Content(FileResponse):
    """Each piece costs a walk to a thread and back: pieces of the usual 64 KiB cost four times as much in all."""

    chunk_size = 1 << 20

    def __init__(self, content: Outgoing, headers: dict[str, str], filename: str) -> None:
        self._content = content
        super().__init__("", headers=headers, media_type="application/octet-stream", filename=filename)
        self.stat_result = _facts(content.stat)
        self.set_stat_headers(self.stat_result)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._content.close()

    @asynccontextmanager
    async def _open_file(self) -> AsyncIterator[Any]:
        yield _Reader(self._content)


class _Reader:
    """What `FileResponse` asks of a file."""

    def __init__(self, content: Outgoing) -> None:
        self._content = content
        self._offset = 0

    async def seek(self, offset: int) -> None:
        self._offset = offset

    async def read(self, length: int) -> bytes:
        piece = await self._content.read(self._offset, length)
        self._offset += len(piece)
        return piece


def _facts(stat: Stat) -> os.stat_result:
    """Those that the headers are made of: the size, and the time in seconds with their fraction."""
    return os.stat_result((0,) * 6 + (stat.size, 0, int(stat.modified), 0, 0.0, stat.modified, 0.0))


class Download(Endpoint):
    """Serves the bytes as they lie in the pool: a qcow2 medium is a qcow2 file."""

    def __init__(self, services: Services) -> None:
        super().__init__(media.DOWNLOAD, services)

    async def answer(self, request: Request, about: About) -> Response:
        try:
            mid = UUID(request.path_params["mid"])
        except ValueError:
            raise Refused(Problem.MALFORMED, "mid: expected a UUID", field="mid") from None
        self.admit(about, carried(request, None), media.MediumRequest(mid=mid))
        services, library = self.services, self.services.library
        await services.pool_states.check(library.get(mid).mpid, writes=False)
        medium = library.get(mid)
        services.sources.check_unwritten(medium)
        headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
        services.pool_states.check_declared(medium)
        content = await services.blobs.get(medium.ref, deadline=CALL_DEADLINE)
        return Content(content, headers, medium.name)
