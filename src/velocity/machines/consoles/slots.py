"""Limits simultaneous calls, without letting one that does not return block the others for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slots:
    """`number` places. A place is released at the end of the work in it, or after `hold` seconds."""

    def __init__(self, number: int, hold: float) -> None:
        self._gate = asyncio.Semaphore(number)
        self._hold = hold

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        await self._gate.acquire()
        timer: asyncio.TimerHandle | None = None

        def give_back() -> None:
            nonlocal timer
            if timer is not None:
                timer.cancel()
                timer = None
                self._gate.release()

        timer = asyncio.get_running_loop().call_later(self._hold, give_back)
        try:
            yield
        finally:
            give_back()
