"""GET /v/events: the stream of events as server-sent events.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from velocity.access.sessions import Caller
from velocity.api.endpoint import Endpoint
from velocity.api.handlers.base import Services
from velocity.api.request import carried
from velocity.api.request_record import RequestRecord
from velocity.api.server import cut, left
from velocity.api.turns import Turns
from velocity.contract.events import WATCH
from velocity.contract.operation import Nothing
from velocity.events.readers import Readers, bye

HEADERS: Mapping[str, str] = {
    "content-type": "text/event-stream",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-accel-buffering": "no",
}
"""`x-accel-buffering`: nginx must not buffer."""
PIECE = 64 << 10
"""Bytes of an event that are sent at once: as much as a connection buffers (uvloop's high-water mark)."""


class Watch(Endpoint):
    """Serves the stream."""

    def __init__(self, services: Services) -> None:
        super().__init__(WATCH, services)

    async def answer(self, request: Request, about: RequestRecord) -> Response:
        readers = self.services.events.readers
        caller = self.admit(about, carried(request, None), Nothing())
        readers.admit(caller)
        last = request.headers.get("last-event-id") or request.query_params.get("last", "")
        return Stream(readers, self.services.turns, caller, last)


class Stream(Response):
    """Sends events until the client leaves, the server ends the stream, or the client is too slow."""

    def __init__(self, readers: Readers, turns: Turns, caller: Caller, last: str) -> None:
        super().__init__(headers=dict(HEADERS))
        del self.headers["content-length"]
        self._readers = readers
        self._turns = turns
        self._caller = caller
        self._last = last

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._serve(scope, receive, send)
        finally:
            self._readers.leave(self._caller)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body"})
            return
        carrying = asyncio.create_task(self._carry(send))
        leaving = asyncio.create_task(left(receive))
        try:
            await asyncio.wait({carrying, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            carrying.cancel()
            leaving.cancel()
            await asyncio.wait({carrying, leaving})
        if carrying.cancelled():
            return
        try:
            carrying.result()
        except TimeoutError:
            await cut(scope, receive)

    async def _carry(self, send: Send) -> None:
        """Raises `TimeoutError` if the client does not read in time."""
        reader = self._readers.reader(self._caller, self._last)
        try:
            async with contextlib.aclosing(reader.frames()) as frames:
                async for data in frames:
                    await self._send_some(send, data)
        except TimeoutError:
            await _sent(send, bye("slow"), self._readers.limits.farewell)
        await _sent(send, b"", self._readers.limits.farewell, more=False)

    async def _send_some(self, send: Send, data: bytes) -> None:
        """Send long data in pieces, as the client reads them and as the user's streams have turns."""
        patience = self._readers.limits.patience
        for at in range(0, len(data), PIECE):
            if len(data) > PIECE:
                await _sent(send, b"", patience)  # returns when there is room
                await self._turns.take(self._caller.uid)
            await _sent(send, data[at : at + PIECE], patience)


async def _sent(send: Send, data: bytes, patience: float, *, more: bool = True) -> None:
    async with asyncio.timeout(patience):
        await send({"type": "http.response.body", "body": data, "more_body": more})
