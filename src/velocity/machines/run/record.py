"""Stores the progress of one VM in the background, repeatedly until it succeeds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextvars import Context

from velocity.contract.problems import Refused
from velocity.hypervisor.port import HypervisorError, Incarnation, Machines
from velocity.machines.port import MachineStore
from velocity.machines.rules import CALL_DEADLINE, RunRecord

log = logging.getLogger(__name__)

RETRY_DELAYS = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds between attempts to store; the last one repeats."""


class Record:
    """Stores one VM's progress. `progress` and `who` return the present ones: only the latest is stored."""

    __slots__ = ("_changed", "_hypervisor", "_progress", "_store", "_vmid", "_who", "_writing")

    def __init__(
        self,
        store: MachineStore,
        hypervisor: Machines,
        vmid: int,
        progress: Callable[[], RunRecord],
        who: Callable[[], Incarnation],
    ) -> None:
        self._store = store
        self._hypervisor = hypervisor
        self._vmid = vmid
        self._progress = progress
        self._who = who
        self._changed = False
        self._writing: asyncio.Task[None] | None = None

    async def write(self, progress: RunRecord) -> None:
        """Store a change before it is carried out. Raises `Refused`: then it must not be."""
        try:
            await self._store.keep_progress(self._vmid, progress)
        except Exception:
            self.note()  # whatever was stored: the former progress holds
            raise

    def note(self) -> None:
        """Store the latest in the background."""
        self._changed = True
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write(), context=Context())

    async def written(self, seconds: float) -> bool:
        """Whether the latest is stored within so many seconds; otherwise it will be later."""
        if self._writing is not None:
            await asyncio.wait({self._writing}, timeout=seconds)
        return self._writing is None

    async def close(self, seconds: float) -> None:
        """Wait at most so many seconds. What is not stored by then, the host will report to the next server."""
        if not await self.written(seconds) and self._writing is not None:
            log.error("vm %d: its state cannot be written to the database", self._vmid)
            self._writing.cancel()
            await asyncio.wait({self._writing})

    async def _write(self) -> None:
        tries = 0
        try:
            while self._changed:
                self._changed = False
                progress, who = self._progress(), self._who()
                try:
                    await self._store.keep_progress(self._vmid, progress)
                except Exception as error:
                    if not tries:
                        words = error.message if isinstance(error, Refused) else repr(error)
                        log.warning("vm %d: its state is not written yet, retrying: %s", self._vmid, words)
                    self._changed = True
                    await asyncio.sleep(RETRY_DELAYS[min(tries, len(RETRY_DELAYS) - 1)])
                    tries += 1
                    continue
                tries = 0
                if progress.run is None and progress.epoch:
                    await self._acknowledge(who)
        finally:
            self._writing = None

    async def _acknowledge(self, who: Incarnation) -> None:
        """Tell the host that the end is stored. A host that misses this reports the end again."""
        try:
            await self._hypervisor.acknowledge(who, deadline=CALL_DEADLINE)
        except HypervisorError as error:
            log.info("vm %d: the end of run %d will be acknowledged again: %s", self._vmid, who.epoch, error)
