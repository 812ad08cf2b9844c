"""The live migrations in progress to and from this host."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

from velocity.hypervisor.port import HypervisorError
from velocity.hypervisor.qemu.moves.arrival import Arrival
from velocity.hypervisor.qemu.moves.undo import undo
from velocity.hypervisor.qemu.run_note import Between
from velocity.hypervisor.qemu.watched_runs import RunEntry, WatchedRuns

log = logging.getLogger(__name__)


class Moves:
    """Those of one host."""

    def __init__(self, watched: WatchedRuns) -> None:
        self._watched = watched
        self._arrivals: dict[UUID, Arrival] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    def arrival(self, entry: RunEntry) -> Arrival:
        """The arrival of that run; created if there was none."""
        machine = entry.run.machine
        found = self._arrivals.get(machine)
        if found is None or found.entry is not entry:
            found = self._arrivals[machine] = Arrival(self._watched.place, entry)
            self.do(self._follow(found))
        return found

    async def _follow(self, arrival: Arrival) -> None:
        """Stop tracking it when it ends."""
        try:
            await arrival.entry.qemu.ended.wait()
        finally:
            await arrival.close()
            if self._arrivals.get(arrival.entry.run.machine) is arrival:
                del self._arrivals[arrival.entry.run.machine]

    def adopt(self, entry: RunEntry) -> None:
        """Continue with what an earlier server began: nobody else lets a guest run that is stopped here."""
        match entry.run.between:
            case Between.INCOMING:
                self.arrival(entry).adopt()
            case Between.SENDING | Between.HANDED:
                self.do(undo(self._watched.place, entry))
            case None:
                pass

    def do(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a task that ends with the server at the latest."""
        task: asyncio.Task[Any] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, HypervisorError):
            log.error("a move between hosts: %r", error)

    async def close(self) -> None:
        """Departing guests continue here; arriving ones keep waiting."""
        for task in list(self._tasks):
            task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST):
                while self._tasks:
                    await asyncio.wait(set(self._tasks))


LAST = 20.0
"""Seconds to undo what is cancelled; after that, the next server does it."""
