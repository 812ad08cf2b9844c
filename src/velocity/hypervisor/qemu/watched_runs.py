"""The runs that the driver watches, each from its start or adoption until its remains are removed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

import msgspec

from velocity.hypervisor.port import HypervisorError, Incarnation, NotRunning
from velocity.hypervisor.qemu import nic_filters, resolver
from velocity.hypervisor.qemu.agent import AgentChannel, channel
from velocity.hypervisor.qemu.directories import HostDirectories
from velocity.hypervisor.qemu.fact_stream import FactStream
from velocity.hypervisor.qemu.inotify import DirectoryWatch
from velocity.hypervisor.qemu.launch import cleared
from velocity.hypervisor.qemu.meter import Meter
from velocity.hypervisor.qemu.process_watch import Mounts
from velocity.hypervisor.qemu.qemu_log import FollowedLog, QemuLog
from velocity.hypervisor.qemu.run_note import Between, Run, RunEnd
from velocity.hypervisor.qemu.serial import SerialHub
from velocity.hypervisor.qemu.spool import range_of
from velocity.hypervisor.qemu.watched_run import WatchedRun
from velocity.network import taps
from velocity.regularly import tried
from velocity.uninterrupted import in_thread

log = logging.getLogger(__name__)

ACKNOWLEDGED = 2.0
"""Seconds within which a requested end may be acknowledged: then all remains are removed at once."""
CLEAR_AGAIN = 1.0
"""Seconds until the removal of an ended run's remains is retried."""


@dataclass
class RunEntry:
    """A watched run. `run` is its note, which changes with its devices.

    `left_open`: it may have files open that it was told to close while it was paused.
    """

    qemu: WatchedRun
    meter: Meter
    agent: AgentChannel
    run: Run
    left_open: bool = False


class WatchedRuns:
    """The runs of one host, at most one per machine. `place` is given once, before the first."""

    place: HostDirectories

    def __init__(self, news: FactStream) -> None:
        self._news = news
        self._watched: dict[UUID, RunEntry] = {}
        self._watches = DirectoryWatch()
        self._left: dict[UUID, Run] = {}
        self._more_left = asyncio.Event()
        self._turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()
        self._tasks: list[asyncio.Task[None]] = []

    def open(self, uids: range | None = None, *background: Coroutine[Any, Any, None]) -> None:
        """`uids` are those of guests, if they have their own; `background`: tasks that run until it is closed."""
        self._loop = asyncio.get_running_loop()
        followed = resolver.follow(self.place.resolver)
        filtered = nic_filters.keep(lambda: [one.run for one in self], uids, self.place.nat)
        works = (self._clear_what_is_left(), followed, filtered, *background)
        self._tasks = [self._loop.create_task(work) for work in works]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        watched, self._watched = self._watched, {}
        for one in watched.values():
            one.meter.close()
            one.agent.close()
        await asyncio.gather(*(one.qemu.close() for one in watched.values()))
        self._watches.close()
        if hasattr(self, "place"):
            self.place.taps.close()
        nat = self.place.nat if hasattr(self, "place") else None
        if nat is not None and nat.exists() and not nic_filters.nat_nics(one.run for one in watched.values()):
            await asyncio.to_thread(nic_filters.remove_nat, nat, 0.0)

    def __iter__(self) -> Iterator[RunEntry]:
        return iter(list(self._watched.values()))

    def __contains__(self, machine: UUID) -> bool:
        return machine in self._watched

    def of(self, machine: UUID) -> WatchedRun | None:
        """Its watched run, until the remains of that are removed."""
        watched = self._watched.get(machine)
        return None if watched is None else watched.qemu

    def running(self, who: Incarnation) -> RunEntry:
        """This very run, until its process has ended. Raises `NotRunning`."""
        watched = self._watched.get(who.machine)
        if watched is None or watched.qemu.who != who or watched.qemu.gone:
            raise NotRunning("this run has ended")
        return watched

    def watch(self, who: Incarnation, run: Run) -> WatchedRun:
        """Begin to watch its process. Raises `OSError`: it cannot be watched."""
        place = self.place
        directory, log_file = place.runs.directory(who.machine), place.qemu_log(who)
        kept, bounds = place.serial_log(who.machine), run.spool or range_of(place.runs.root, run.pid)
        with contextlib.ExitStack() as undo:
            output = self._output(who, run)
            if output is not None:
                undo.callback(output.close)
            watched = self._watches.watch_directory(directory, lambda: qemu.on_output())
            undo.callback(self._watches.remove, watched)
            followed = FollowedLog(who.machine, output, log_file)
            qemu = WatchedRun(who, run.pid, place.qmp(who), followed, self._news)
            undo.callback(qemu.process.close)
            qemu.observed.arriving = run.between is Between.INCOMING
            qemu.serial = SerialHub(
                directory,
                bounds,
                run.first_epoch,
                kept,
                qemu,
                held=run.between in (Between.INCOMING, Between.HANDED),
            )
            undo.pop_all()
        followed.open()

        async def ended(end: RunEnd | None) -> None:
            self._watches.remove(watched)
            entry = self._watched[who.machine]
            entry.meter.close()
            entry.agent.close()
            await self._end(qemu, entry.run, end)

        qemu.on_asked = lambda: self._note_asked(qemu)
        qemu.on_end = ended
        agent = channel(qemu, place.agent(who))
        self._watched[who.machine] = RunEntry(qemu, Meter(qemu, run.started), agent, run)
        return qemu

    def _output(self, who: Incarnation, run: Run) -> QemuLog | None:
        """None: its QEMU writes to the log itself, or somebody has removed the file."""
        if run.spool is None:
            return None
        with contextlib.suppress(FileNotFoundError):
            return QemuLog(self.place.runs.directory(who.machine), run.spool, run.first_epoch, self.place.qemu_log(who))
        return None

    async def rename(self, entry: RunEntry, who: Incarnation) -> WatchedRun:
        """From here on it is that incarnation, also for later servers. Raises `OSError`, `NotRunning`."""
        run = msgspec.structs.replace(entry.run, epoch=who.epoch, begun=entry.run.first_epoch, between=None)
        async with self.turn(who.machine):
            if entry.qemu.gone:
                raise NotRunning("this run has ended")
            await in_thread(self.place.runs.write, run)
            self._news.spend(entry.qemu.who)
            entry.meter.close()
            entry.agent.close()
            await entry.qemu.close()
            qemu = self.watch(who, run)
            qemu.adopt()
            return qemu

    # What a run leaves

    async def _note_asked(self, qemu: WatchedRun) -> None:
        """Record it before the process has ended, so that how it ended can be reported at once."""
        async with self.turn(qemu.who.machine):
            if not qemu.gone:
                await self._note(qemu)

    async def _note(self, qemu: WatchedRun) -> None:
        if not qemu.noted:
            with contextlib.suppress(OSError):  # then it is noted with its end
                await in_thread(self.place.asked(qemu.who).touch)
                qemu.noted = True

    async def _end(self, qemu: WatchedRun, run: Run, end: RunEnd | None) -> None:
        """Record how it ended, report it, and remove its remains; until then, no other run of it begins."""

        def tell() -> None:
            if end is not None and not qemu.ended.is_set():
                self._news.end(qemu.who, end.why, end.detail)
                qemu.ended.set()

        async with self.turn(run.machine):
            try:
                if qemu.awaited:
                    await self._note(qemu)  # QEMU may have been faster
                if qemu.noted:
                    tell()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(qemu.acknowledged.wait(), ACKNOWLEDGED)
                qemu.dropped = qemu.acknowledged.is_set()
                over = msgspec.structs.replace(run, end=None if qemu.dropped else end)
                await in_thread(self.clear, over, qemu.process.mounts)
            finally:
                del self._watched[run.machine]
                tell()

    def clear(self, run: Run, mounts: Mounts | None = None) -> bool:
        """Remove what the run has left; returns whether all is gone. What stays is removed later.

        Blocks as long as `ip` and the file system: call it in a thread. `mounts` has kept the process's mounts.
        """
        if mounts is not None:
            mounts.close()
        try:
            cleared(self.place, run)
        except (OSError, taps.CannotConnect) as error:
            log.warning("machine %s, run %d: its leftovers cannot be removed yet: %s", run.machine, run.epoch, error)
            self._left[run.machine] = run
            self._loop.call_soon_threadsafe(self._more_left.set)
            return False
        return True

    def turn(self, machine: UUID) -> asyncio.Lock:
        """Held while something of that machine is removed, or a run of it begins."""
        return self._turns.setdefault(machine, asyncio.Lock())

    async def drop(self, who: Incarnation) -> None:
        """Remove the note of its end, which is acknowledged."""
        watched = self._watched.get(who.machine)
        qemu = watched.qemu if watched is not None and watched.qemu.who == who else None
        if qemu is not None:
            qemu.acknowledged.set()
        async with self.turn(who.machine):
            if qemu is not None and qemu.dropped:
                return
            run = self._left.get(who.machine) or Run(machine=who.machine, epoch=who.epoch, boot="")
            self._left[who.machine] = msgspec.structs.replace(run, end=None)
            await self._clear_one(who.machine)

    async def make_way(self, machine: UUID) -> None:
        """A new run of it begins, which acknowledges the last. Raises `HypervisorError`: remains of that are there."""
        async with self.turn(machine):
            if (left := self._left.get(machine)) is not None:
                self._left[machine] = msgspec.structs.replace(left, end=None)
                await self._clear_one(machine)
            if machine in self._left:
                raise HypervisorError("the remains of its last run cannot be removed yet: see the server's log")

    async def _clear_one(self, machine: UUID) -> None:
        run = self._left.get(machine)
        if run is not None and await in_thread(self.clear, run):
            self._left.pop(machine, None)

    async def _clear_what_is_left(self) -> None:
        while True:
            await self._more_left.wait()
            self._more_left.clear()
            await asyncio.sleep(CLEAR_AGAIN)
            for machine in list(self._left):
                async with self.turn(machine):
                    if not await tried("removing what a run has left", partial(self._clear_one, machine)):
                        self._more_left.set()
