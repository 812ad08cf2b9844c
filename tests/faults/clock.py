"""An event loop that does not wait: where nothing is ready for a moment, its clock jumps to the next timer."""

from __future__ import annotations

import asyncio
import selectors
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import WeakSet

MOMENT = 0.003
"""Seconds that a thread (the database's) has to be done before the clock jumps."""


class _Selector(selectors.DefaultSelector):
    loop: HastyLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None or timeout <= MOMENT:
            return super().select(timeout)
        ready = super().select(MOMENT)
        if not ready:
            self.loop.ahead += timeout
        return ready


class HastyLoop(asyncio.SelectorEventLoop):
    """Its time is its own: a second of a back-off takes a moment."""

    def __init__(self) -> None:
        self.ahead = 0.0
        selector = _Selector()
        selector.loop = self
        self._timers: WeakSet[asyncio.TimerHandle] = WeakSet()
        super().__init__(selector)
        self._begin_threads()

    def _begin_threads(self) -> None:
        self._threads = ThreadPoolExecutor()
        self.set_default_executor(self._threads)

    def end_threads(self) -> None:
        """As the process that they belonged to is no more; what they are about is done."""
        self._threads.shutdown()
        self._begin_threads()

    def time(self) -> float:
        return super().time() + self.ahead

    def call_at(  # type: ignore[override]  # of any types
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        handle = super().call_at(when, callback, *args, context=context)
        self._timers.add(handle)
        return handle

    def stop_timers(self) -> None:
        """As the process that they belonged to is no more."""
        for handle in self._timers:
            handle.cancel()
