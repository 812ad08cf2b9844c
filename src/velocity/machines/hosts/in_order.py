"""Turns by place: of those who wait, the lowest place comes first."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from heapq import heappop, heappush
from typing import Any


class InOrder:
    """At most `most` callers have their turn at a time."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._waiting: list[tuple[Any, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    @asynccontextmanager
    async def turn(self, place: Any) -> AsyncIterator[None]:
        """Within, it is the caller's turn. Callers that arrive in one step of the loop are served by place, too."""
        loop = asyncio.get_running_loop()
        coming: asyncio.Future[None] = loop.create_future()
        heappush(self._waiting, (place, next(self._numbers), coming))
        loop.call_soon(self._give)
        try:
            await coming
            yield
        finally:
            if coming.done() and not coming.cancelled():
                self._free += 1
                self._give()

    def _give(self) -> None:
        while self._free and self._waiting:
            _, _, coming = heappop(self._waiting)
            if not coming.done():
                self._free -= 1
                coming.set_result(None)
