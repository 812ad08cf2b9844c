"""Finds the machines that already run on this host, by run directories and process table, and those that have ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from velocity.hypervisor.port import Fact, FactCause, FactReport, HostId, HypervisorError, Incarnation, Listing, Unknown
from velocity.hypervisor.qemu import nic_filters, qemu_log
from velocity.hypervisor.qemu.fact_stream import FactStream
from velocity.hypervisor.qemu.launch import recovered
from velocity.hypervisor.qemu.monitor import FIRST_PAUSE, LAST_PAUSE
from velocity.hypervisor.qemu.moves.moves import Moves
from velocity.hypervisor.qemu.processes import start_time
from velocity.hypervisor.qemu.run_note import Between, Run, RunEnd
from velocity.hypervisor.qemu.runs import boot_id
from velocity.hypervisor.qemu.starting import Starts
from velocity.hypervisor.qemu.watched_run import WatchedRun
from velocity.hypervisor.qemu.watched_runs import RunEntry, WatchedRuns
from velocity.hypervisor.waits import AWAY, MOVING
from velocity.uninterrupted import in_thread, whole

log = logging.getLogger(__name__)

WAITING = 0.9
"""The largest part of its deadline that an adoption waits for answers."""
LOOK_AGAIN = 0.5
"""Seconds until an incomplete look is repeated."""
POLL = 0.02
"""Seconds between two checks whether a killed process has ended."""


@dataclass(eq=False)
class Unwatched:
    """A run whose process is alive, but cannot be watched yet."""

    who: Incarnation
    run: Run
    why: str
    task: asyncio.Task[None] | None = None
    asked: bool = False
    """Whether it is being ended by force: whoever sees its end first says so."""

    @property
    def over(self) -> Run:
        """Its note after its process is gone, with the cause if that is known."""
        return msgspec.structs.replace(self.run, end=RunEnd(FactCause.ASKED)) if self.asked else self.run


def check_at_home(entry: RunEntry) -> None:
    """Raises `HypervisorError` for a run that is between two hosts."""
    match entry.run.between:
        case Between.INCOMING:
            received = entry.qemu.observed.does(Fact.RECEIVED)
            raise HypervisorError(AWAY[Fact.RECEIVED if received else Fact.INCOMING])
        case Between.HANDED if not entry.qemu.observed.leaving:
            raise HypervisorError(AWAY[Fact.HANDED])
        case one if one is not None or entry.qemu.observed.leaving:
            raise HypervisorError(MOVING)


class Adoption:
    """The machines that run on one host, as its driver finds them."""

    def __init__(self, watched: WatchedRuns, starts: Starts, moves: Moves, news: FactStream) -> None:
        self._moves = moves
        self._watched = watched
        self._starts = starts
        self._news = news
        self._unwatched: dict[UUID, Unwatched] = {}
        self._looking: asyncio.Task[int] | None = None
        self._complete = False
        self._looked = float("-inf")

    async def close(self) -> None:
        tasks: set[asyncio.Task[Any]] = {one.task for one in self._unwatched.values() if one.task is not None}
        if self._looking is not None:
            tasks.add(self._looking)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def list_runs(self, host: HostId, deadline: float) -> Listing:
        """Implements `velocity.hypervisor.port.Machines.adopt`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline * WAITING
        number = await self._look(host)
        questions = {one.qemu.status.ask() for one in self._watched if not one.qemu.monitor.removed}
        if questions:
            await asyncio.wait(questions, timeout=max(0.0, until - loop.time()))
        there = [one.qemu for one in self._watched if not one.qemu.ended.is_set()]
        found = [found for one in there if (found := self._found(one)) is not None]
        for machine in self._starts.machines():
            if (start := self._starts.of(machine)) is not None:
                found.append(self._news.make_fact(start.who, Fact.SILENT, FactCause.UNKNOWN, "it is being started"))
        for unwatched in self._unwatched.values():
            found.append(self._news.make_fact(unwatched.who, Fact.SILENT, FactCause.UNKNOWN, unwatched.why))
        listed = {one.who.machine for one in found}
        found += [end for machine, end in self._news.ends.items() if machine not in listed]
        return Listing(host, tuple(found), number, self._complete)

    def _found(self, qemu: WatchedRun) -> FactReport | None:
        if qemu.starting:
            return None  # it is among the starts in progress
        if not qemu.status.answered:
            qemu.status.note_silence()
        last = qemu.observed.last
        if last is None:
            return self._news.make_fact(qemu.who, Fact.SILENT, FactCause.UNKNOWN, "it is ending")
        return msgspec.structs.replace(last, number=self._news.next_number())

    async def know(self, host: HostId) -> None:
        """Return when it is known what runs there. Raises `Unknown`."""
        if not self._complete and asyncio.get_running_loop().time() - self._looked > LOOK_AGAIN:
            await self._look(host)
        if not self._complete:
            raise Unknown("some running machines on this host cannot be examined: see the server's log")

    def unwatched(self, machine: UUID) -> Unwatched | None:
        return self._unwatched.get(machine)

    def running(self, who: Incarnation) -> RunEntry:
        """This very run. Raises `NotRunning`, and `HypervisorError` if it cannot be watched yet."""
        unwatched = self._unwatched.get(who.machine)
        if unwatched is not None and unwatched.who == who:
            raise HypervisorError(f"{unwatched.why}: try again later")
        return self._watched.running(who)

    def changeable(self, who: Incarnation) -> RunEntry:
        """This very run, if it is not between two hosts. Raises `NotRunning`, `HypervisorError`."""
        entry = self.running(who)
        check_at_home(entry)
        return entry

    # Looking

    async def _look(self, host: HostId) -> int:
        """Look at everything; returns the number of the fact as of which the result holds.

        One look is shared by all who ask meanwhile. It comes to its end even if nobody waits for it any more: with many
        machines it may take longer than a deadline, and the next one who asks finds what it has found.
        """
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_once(host))
            self._looking.add_done_callback(_retrieve)
        looking = self._looking
        try:
            return await asyncio.shield(looking)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if looking.cancelled() and task is not None and not task.cancelling():  # by `close`
                raise Unknown("this host is not watched any more") from None
            raise

    async def _look_once(self, host: HostId) -> int:
        number = self._news.next_number()
        look = await in_thread(self._watched.place.runs.look)
        alive = [run for run, pid in look.runs if pid is not None]
        await in_thread(nic_filters.restore, alive)
        await in_thread(nic_filters.restore_nat, alive, self._watched.place.nat)
        for run, pid in look.runs:
            await self._take(Incarnation(run.machine, host, run.epoch), run, pid)
        self._complete = look.complete
        self._looked = asyncio.get_running_loop().time()
        return number

    async def _take(self, who: Incarnation, run: Run, pid: int | None) -> None:
        """`pid` is its process, if it existed when it was looked at."""
        if not self._is_known(who) and (pid is None or not self._watch(who, run)):
            await self._record_end(who, run)

    def _is_known(self, who: Incarnation) -> bool:
        places = (self._watched, self._starts.machines(), self._unwatched)
        return self._news.is_over(who) or any(who.machine in place for place in places)

    def _watch(self, who: Incarnation, run: Run) -> bool:
        """Watch it, now or as soon as possible. False: it has ended meanwhile."""
        try:
            if start_time(run.pid) != run.started:
                return False
            self._adopt(who, run)
        except ProcessLookupError:
            return False
        except OSError as error:
            why = f"its process cannot be watched: {error.strerror}"
            log.warning("machine %s is running, but %s", run.machine, why)
            unwatched = self._unwatched[run.machine] = Unwatched(who, run, why)
            unwatched.task = asyncio.create_task(self._watch_later(unwatched))
        return True

    def _adopt(self, who: Incarnation, run: Run) -> None:
        qemu = self._watched.watch(who, run)
        qemu.adopt()
        if not qemu.gone:
            entry = self._watched.running(who)
            entry.left_open = True  # for all that is known
            self._moves.adopt(entry)

    async def _watch_later(self, unwatched: Unwatched) -> None:
        pause = FIRST_PAUSE
        who, run = unwatched.who, unwatched.run
        while True:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_PAUSE)
            try:
                if start_time(run.pid) == run.started:
                    await in_thread(self._watched.place.runs.keep, run)
                    self._adopt(who, run)
                    del self._unwatched[run.machine]
                    return
            except ProcessLookupError:
                pass
            except Exception:
                log.debug("machine %s cannot be watched yet", run.machine, exc_info=True)
                continue
            del self._unwatched[run.machine]
            await whole(self._record_end(who, unwatched.over))  # also when `end` cancels this
            return

    async def end(self, unwatched: Unwatched, deadline: float) -> None:
        """Kill one that cannot be watched. Raises `Unknown`."""
        run = unwatched.run
        with contextlib.suppress(OSError):
            if start_time(run.pid) == run.started:
                os.kill(run.pid, signal.SIGKILL)
                unwatched.asked = True
        try:
            async with asyncio.timeout(deadline):
                while start_time(run.pid) == run.started:  # noqa: ASYNC110 (nothing tells, or it were watched)
                    await asyncio.sleep(POLL)
        except (TimeoutError, OSError):
            raise Unknown("QEMU's process does not end") from None
        if unwatched.task is not None:
            unwatched.task.cancel()
            await asyncio.wait({unwatched.task})
        if self._unwatched.pop(run.machine, None) is not None:
            await self._record_end(unwatched.who, unwatched.over)

    # Ends that nobody saw

    async def _record_end(self, who: Incarnation, run: Run) -> None:
        """Its process is gone: record how it ended, as far as that left a trace, and clear what remains.

        A run whose remains were cleared since the look has already been reported, or was a start that failed.
        """
        async with self._watched.turn(run.machine):
            if not self._is_known(who):
                end = await in_thread(self._end_recorded, who, run)
                if end is not None:
                    self._news.end(who, end.why, end.detail)

    def _end_recorded(self, who: Incarnation, run: Run) -> RunEnd | None:
        end = run.end
        if end is None:
            with contextlib.suppress(OSError):
                note = self._watched.place.runs.note(run.machine)
                if note is None or note.epoch != run.epoch:
                    return None
                recovered(self._watched.place, who, run)
            end = RunEnd(self._cause(who, run), "noticed when the server started again")
        self._watched.clear(msgspec.structs.replace(run, end=end))
        return end

    def _cause(self, who: Incarnation, run: Run) -> FactCause:
        place = self._watched.place
        if place.asked(who).exists():
            return FactCause.ASKED
        if run.boot != boot_id() or (place.runs.own(run.machine) / "pid").exists():
            return FactCause.KILLED
        signalled = b"terminating on signal" in qemu_log.said(place.qemu_log(who), 4096)
        return FactCause.HOST_SIGNAL if signalled else FactCause.GUEST_SHUTDOWN


def _retrieve(looking: asyncio.Task[int]) -> None:
    """Nobody may be left who would get its error; who asks next has the look done again."""
    if not looking.cancelled():
        looking.exception()
