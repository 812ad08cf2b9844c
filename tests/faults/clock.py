"""An event loop that does not wait: where nothing is ready and no thread at work, its clock jumps to the next timer."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any
from weakref import WeakSet

from tests.patience import PATIENCE
from velocity.machines.port import MachineStore
from velocity.store.database import Database
from velocity.store.machines import SqlMachines

AT_WORK = 5
"""Turns of the loop that count while a thread is at work. How many there are until it is done is up to the host."""


class _Selector(selectors.DefaultSelector):
    loop: HastyLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(PATIENCE if self.loop.works() else 0)
        if not ready:
            self.loop.now += timeout
        return ready


class HastyLoop(asyncio.SelectorEventLoop):
    """Its time is its own: a second of a back-off takes no time, and what is computed, or waited for in a thread, takes
    none of its seconds, however slow the host is.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._database: Database | None = None
        self._at_work = 0
        selector = _Selector()
        selector.loop = self
        self._timers: WeakSet[asyncio.TimerHandle] = WeakSet()
        super().__init__(selector)
        self._begin_threads()

    def works(self) -> bool:
        return self._at_work > 0 or (self._database is not None and self._database.told.unanswered > 0)

    def machines(self, database: Database, kept: Callable[[Database], MachineStore] = SqlMachines) -> MachineStore:
        """Where `world` keeps its VMs. The database's thread, which is of no executor, counts from its start on."""
        self._database = database
        return kept(database)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        future = super().run_in_executor(executor, func, *args)
        self._at_work += 1
        future.add_done_callback(self._note_done)
        return future

    def _note_done(self, _: object) -> None:
        self._at_work -= 1

    def _begin_threads(self) -> None:
        self._threads = ThreadPoolExecutor()
        self.set_default_executor(self._threads)

    def end_threads(self) -> None:
        """As the process that they belonged to is no more; what they are about is done."""
        self._threads.shutdown()
        self._begin_threads()

    def time(self) -> float:
        return self.now

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


async def passed(turns: int) -> None:
    """So many turns of the loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, HastyLoop)
    at_work, end = 0, monotonic() + PATIENCE
    while turns > 0:
        assert at_work <= AT_WORK or monotonic() < end, f"a thread is still at work after {PATIENCE:.0f} s"
        await asyncio.sleep(0)
        at_work = at_work + 1 if loop.works() else 0
        turns -= at_work <= AT_WORK
