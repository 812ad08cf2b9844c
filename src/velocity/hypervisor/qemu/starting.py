"""Starts in progress: each is a task that a stop interrupts and a deadline does not orphan."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import dataclass, field
from uuid import UUID

from velocity.hypervisor.port import DiskLimits, HypervisorError, Incarnation, MachineSpec, NotRunning, Unknown
from velocity.hypervisor.qemu.launch import OVERTAKEN, end, launch
from velocity.hypervisor.qemu.layout import Layout
from velocity.hypervisor.qemu.run_note import Run
from velocity.hypervisor.qemu.watched_run import WatchedRun
from velocity.hypervisor.qemu.watched_runs import WatchedRuns

log = logging.getLogger(__name__)

INNER = 0.9
"""The part of a start's deadline after which QEMU is killed, which leaves time to report that."""


@dataclass(eq=False)
class Start:
    """One start. `overtaken` is set when nobody wants it any more."""

    who: Incarnation
    task: asyncio.Task[None] | None = None
    qemu: WatchedRun | None = None
    overtaken: threading.Event = field(default_factory=threading.Event)

    def overtake(self) -> None:
        """Interrupt it: it ends as soon as possible, and leaves nothing behind."""
        self.overtaken.set()
        if self.qemu is not None:
            self.qemu.kill()


class Starts:
    """The starts of one host, at most one per machine."""

    def __init__(self, watched: WatchedRuns) -> None:
        self._watched = watched
        self._under_way: dict[UUID, Start] = {}

    def of(self, machine: UUID) -> Start | None:
        return self._under_way.get(machine)

    def machines(self) -> set[UUID]:
        return set(self._under_way)

    async def start(self, who: Incarnation, spec: MachineSpec, deadline: float, *, there: Layout | None = None) -> None:
        """Start it. `there`: it waits for a guest from another host, with this layout.

        Raises `HypervisorError`: nothing of it remains; `Unknown`: it is still being ended.
        """
        start = self._under_way[who.machine] = Start(who)
        start.task = asyncio.create_task(self._run(start, spec, deadline * INNER, there=there))
        start.task.add_done_callback(lambda task: self._over(start, task))
        try:
            await asyncio.wait({start.task}, timeout=deadline)
        except asyncio.CancelledError:
            start.overtake()
            raise
        if not start.task.done():
            start.overtake()
            raise Unknown("it did not start in time, and is being stopped")
        start.task.result()

    async def end(self, start: Start, deadline: float) -> None:
        """Interrupt it; returns when it is over. Raises `Unknown`."""
        start.overtake()
        assert start.task is not None
        await asyncio.wait({start.task}, timeout=deadline)
        if not start.task.done():
            raise Unknown("its start has not been interrupted yet")
        if start.qemu is not None:  # it may have come to its end just before
            await start.qemu.end(deadline=deadline)

    async def close(self) -> None:
        """Interrupt all starts."""
        starts = list(self._under_way.values())
        for start in starts:
            start.overtake()
        await asyncio.gather(*(start.task for start in starts if start.task is not None), return_exceptions=True)

    def _over(self, start: Start, task: asyncio.Task[None]) -> None:
        self._under_way.pop(start.who.machine, None)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, HypervisorError):
            log.error("machine %s: starting failed: %r", start.who.machine, error)

    async def _run(self, start: Start, spec: MachineSpec, deadline: float, *, there: Layout | None) -> None:
        watched, who = self._watched, start.who
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline
        await watched.make_way(who.machine)
        run = await asyncio.to_thread(launch, watched.place, who, spec, watched.clear, start.overtaken, there=there)
        if start.overtaken.is_set():
            await self._undo(run)
            raise HypervisorError(OVERTAKEN)
        try:
            qemu = start.qemu = watched.watch(who, run)
        except OSError as error:
            await self._undo(run)
            raise HypervisorError(f"its process cannot be watched: {error.strerror}") from None
        try:
            limits = {number: disk.limits for number, disk in run.nodes.items() if disk.limits != DiskLimits()}
            unplugged = {nic.nic: nic.up for nic in spec.nics if not nic.up}
            await qemu.begin(limits, unplugged, held=spec.held or there is not None, deadline=until - loop.time())
        except BaseException as error:
            qemu.kill()
            await qemu.cleared.wait()
            if start.overtaken.is_set():
                raise HypervisorError(OVERTAKEN) from None
            if isinstance(error, Unknown):
                raise HypervisorError(f"QEMU did not respond within {deadline:.0f} seconds and was stopped") from None
            if isinstance(error, NotRunning | OSError):
                raise HypervisorError(await qemu.last_words() or "QEMU ended while it was starting") from None
            raise

    async def _undo(self, run: Run) -> None:
        await asyncio.to_thread(end, run.pid)
        await asyncio.to_thread(self._watched.clear, run)
