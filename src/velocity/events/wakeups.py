"""Wakes the readers that wait for the next event together, spread over several steps."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextvars import Context
from itertools import islice

WOKEN = 8
"""Readers woken in one step of the loop, each in about 0.1 ms, so that requests come between."""
EACH = 0.0002
"""Seconds that each reader adds to the time between two wakings: telling a thousand of a hundred changes in a second,
one by one, would take all of the server's time."""


class Wakeups:
    """`pause` is the least time between two wakings of a single reader, in seconds."""

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self._told = 0
        self._waiting: dict[asyncio.Future[bool], None] = {}
        self._waking: asyncio.TimerHandle | None = None
        self._woken = 0.0

    async def wait(self, until: float) -> bool:
        """Return when there may be more events, or the server ends; False: it is `until` on the loop's clock."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[bool] = loop.create_future()
        self._waiting[waiting] = None
        timer = loop.call_at(until, _settle, waiting, False)
        try:
            return await waiting
        finally:
            timer.cancel()
            self._waiting.pop(waiting, None)

    @property
    def between(self) -> float:
        """The least time between the last waking and the next one, in seconds."""
        return self._pause + self._told * EACH

    def soon(self) -> None:
        """At once, or soon if that was just done: many changes wake the readers once."""
        loop = asyncio.get_running_loop()
        if self._waking is None:
            self._waking = loop.call_at(self._woken + self.between, self.now, context=Context())

    def now(self) -> None:
        if self._waking is not None:
            self._waking.cancel()
            self._waking = None
        self._woken = asyncio.get_running_loop().time()
        waiting = list(self._waiting)
        self._waiting.clear()
        self._told = len(waiting)
        self._release(iter(waiting))

    def _release(self, waiting: Iterator[asyncio.Future[bool]]) -> None:
        turn = list(islice(waiting, WOKEN))
        for one in turn:
            _settle(one, True)
        if len(turn) == WOKEN:
            asyncio.get_running_loop().call_soon(self._release, waiting, context=Context())

    def close(self) -> None:
        if self._waking is not None:
            self._waking.cancel()


def _settle(waiting: asyncio.Future[bool], news: bool) -> None:
    if not waiting.done():
        waiting.set_result(news)
