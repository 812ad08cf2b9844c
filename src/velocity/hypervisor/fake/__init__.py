"""A hypervisor in memory. It keeps the law of the port, and lets a test play the guest."""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from typing import Any
from uuid import UUID

from velocity.hypervisor.fake.guest import NOTHING as NOTHING
from velocity.hypervisor.fake.guest import UNCONFINED, painted
from velocity.hypervisor.fake.guest import FakeStream as FakeStream
from velocity.hypervisor.fake.guest import Run as Run
from velocity.hypervisor.port import (
    ByteStream,
    Changed,
    Confinement,
    Fact,
    HostFacts,
    HostId,
    HostNow,
    HypervisorError,
    Incarnation,
    Listing,
    MachineSpec,
    NotRunning,
    Screen,
    Serial,
    Stop,
    Unknown,
    Usage,
    Why,
)

FACTS = HostFacts(
    accelerator="fake",
    accelerator_reason="nothing is executed",
    hypervisor="fake 1.0",
    machine_type="fake-1.0",
    firmware="0123456789abcdef",
    max_cpus=8,
    memory=4096,
)


class Answer(enum.Enum):
    """How a call ends that does not end as done.

    LATE: it is done, and the answer comes too late. LOST: it never arrives. UNDER_WAY: it arrives with `arrive`.
    """

    LATE = "late"
    LOST = "lost"
    UNDER_WAY = "under way"


class FakeHypervisor:
    """Keeps `velocity.hypervisor.port.Hypervisor`. Machines outlive `close` in `runs`, as processes do.

    What a test may set: `refuse` (the words with which the next start or picture fails), `hold` (an event that starts
    and pictures wait for), `deaf` (whether new guests hear the power button), `free` (MiB), `shows` (what stands on a
    display: without it, the machine's name and the display's), `answers` (how the next calls end that change
    something, one after the other; None: as done).
    """

    def __init__(self, host_facts: HostFacts = FACTS) -> None:
        self.host_facts = host_facts
        self.runs: dict[UUID, Run] = {}
        self.started: list[Incarnation] = []
        self.forgotten: list[UUID] = []
        self.keeps: set[UUID] = set()
        self.refuse: str | None = None
        self.hold: asyncio.Event | None = None
        self.deaf = False
        self.free = host_facts.memory
        self.shows: dict[tuple[UUID, int], str] = {}
        self.shots: list[tuple[Incarnation, int]] = []
        self.answers: deque[Answer | None] = deque()
        self.ends: dict[UUID, Changed] = {}
        """The ends that nobody has acknowledged."""
        self._logs: dict[UUID, bytes] = {}
        self._starting: dict[UUID, asyncio.Task[Any] | None] = {}
        self._epochs: dict[UUID, int] = {}
        self._lost: set[HostId] = set()
        self._silent: set[UUID] = set()
        self._under_way: list[tuple[UUID, Callable[[], None], bool]] = []
        self._number = self._told = 0
        self._news: dict[HostId, asyncio.Queue[Changed | None]] = defaultdict(asyncio.Queue)

    # Machines

    async def start(self, who: Incarnation, spec: MachineSpec, *, deadline: float) -> int:
        self._reach(who.host)
        run = self.runs.get(who.machine)
        if run is not None and run.who == who:
            return self._told
        self._check_epoch(who)
        self._starting[who.machine] = asyncio.current_task()
        try:
            await self._hindrance()
        except asyncio.CancelledError:
            if who.epoch > self._epochs.get(who.machine, 0):
                raise
            raise HypervisorError("its start was overtaken by a stop") from None
        finally:
            self._starting.pop(who.machine, None)
        return self.deed(who, lambda: self._start(who, spec), begins=True)

    def _start(self, who: Incarnation, spec: MachineSpec) -> None:
        self._check_epoch(who)
        self.ends.pop(who.machine, None)
        self.keeps.add(who.machine)
        self.started.append(who)
        fact = Fact.HELD if spec.held else Fact.RUNNING
        self.runs[who.machine] = Run(who, spec, fact, deaf=self.deaf)
        self._tell(who, fact, Why.ASKED)

    def _check_epoch(self, who: Incarnation) -> None:
        last = self._epochs.get(who.machine, 0)
        if who.epoch <= last:
            raise HypervisorError(f"run {who.epoch} is not newer than run {last}")
        if who.machine in self.runs:
            raise HypervisorError("an older run of this machine has not ended yet")

    async def pause(self, who: Incarnation, *, deadline: float) -> int:
        def work() -> None:
            run = self._run(who)
            if run.fact is Fact.RUNNING:
                run.fact, run.why = Fact.PAUSED, Why.ASKED
            self._tell(who, run.fact, run.why)

        self._run(who)
        return self.deed(who, work)

    async def resume(self, who: Incarnation, *, deadline: float) -> int:
        def work() -> None:
            run = self._run(who)
            run.fact, run.why = Fact.RUNNING, Why.ASKED
            self._tell(who, run.fact, run.why)

        self._run(who)
        return self.deed(who, work)

    async def stop(self, who: Incarnation, how: Stop, *, deadline: float) -> int:
        if how is Stop.NOW:
            self._reach(who.host)
            return self.deed(who, lambda: self._end_now(who), heard=True)
        self._reach(who.host)
        number = self._told
        if who != self._who(who.machine):
            return number
        self.deed(who, lambda: self._press(who))
        return number

    def _end_now(self, who: Incarnation) -> None:
        self._epochs[who.machine] = max(who.epoch, self._epochs.get(who.machine, 0))
        if (start := self._starting.get(who.machine)) is not None:
            start.cancel()
        if who == self._who(who.machine):
            self._end(self.runs[who.machine], Why.ASKED)

    def _press(self, who: Incarnation) -> None:
        run = self._run(who)
        run.presses += 1
        if not run.deaf and run.fact is Fact.RUNNING:
            self._end(run, Why.GUEST_SHUTDOWN)

    async def facts(self, who: Incarnation, *, deadline: float) -> Changed:
        self._reach(who.host)
        if who.machine in self._silent or who.machine in self._starting:
            raise Unknown("its monitor does not answer")
        if who == self._who(who.machine):
            run = self.runs[who.machine]
            return self._fact(who, run.fact, run.why)
        if (end := self.ends.get(who.machine)) is not None and end.who == who:
            return end
        self._epochs[who.machine] = max(who.epoch, self._epochs.get(who.machine, 0))
        return self._fact(who, Fact.ABSENT, Why.UNKNOWN)

    async def adopt(self, host: HostId, *, deadline: float) -> Listing:
        self._reach(host)
        self._under_way = [one for one in self._under_way if not one[2]]
        found = [end for end in self.ends.values() if end.who.host == host]
        for run in self.runs.values():
            if run.who.host == host:
                silent = run.who.machine in self._silent
                found.append(self._fact(run.who, Fact.SILENT if silent else run.fact, run.why))
        return Listing(host, tuple(found), self._number, complete=True)

    async def acknowledge(self, who: Incarnation, *, deadline: float) -> None:
        self._reach(who.host)
        if (end := self.ends.get(who.machine)) is not None and end.who == who:
            del self.ends[who.machine]

    async def news(self, host: HostId) -> AsyncIterator[Changed]:
        while True:
            self._reach(host)
            queue = self._news[host]
            changed = await queue.get()
            try:
                if changed is None:
                    raise Unknown(f"host {host} does not answer")
                yield changed
            finally:
                queue.task_done()

    async def forget(self, host: HostId, machine: UUID, *, deadline: float) -> None:
        self._reach(host)
        self.forgotten.append(machine)
        self._logs.pop(machine, None)
        self.keeps.discard(machine)

    async def close(self) -> None:
        self._news.clear()

    # Consoles and hosts

    async def open(self, who: Incarnation, which: Serial | Screen, *, deadline: float) -> ByteStream:
        run = self._run(who)
        stream = FakeStream(run, which)
        if isinstance(which, Serial):
            stream.feed(bytes(run.said))
        run.streams.append(stream)
        return stream

    async def said(self, host: HostId, machine: UUID, most: int, *, deadline: float) -> bytes:
        self._reach(host)
        run = self.runs.get(machine)
        return (self._logs.get(machine, b"") + (run.said if run else b""))[-most:]

    async def shot(self, who: Incarnation, index: int, *, deadline: float) -> bytes:
        self.shots.append((who, index))
        await self._hindrance()
        display = self._run(who).spec.displays[index]
        if who.machine in self._silent:
            raise Unknown("its monitor does not answer")
        words = self.shows.get((who.machine, index), f"{self._run(who).spec.name} {display.name}")
        return painted(words, display.width, display.height)

    def about(self, host: HostId) -> HostFacts:
        return self.host_facts

    async def memory_free(self, host: HostId, *, deadline: float) -> int:
        self._reach(host)
        return self.free

    async def kept(self, host: HostId, *, deadline: float) -> Collection[UUID]:
        self._reach(host)
        return self.keeps - self.runs.keys() - self.ends.keys()

    async def confinement(self, who: Incarnation, *, deadline: float) -> Confinement | None:
        self._reach(who.host)
        return UNCONFINED if who.machine in self.runs else None

    async def command(self, who: Incarnation, *, deadline: float) -> Sequence[str] | None:
        self._reach(who.host)
        if who != self._who(who.machine):
            return None
        return ["fake", "-uuid", str(who.machine), "-pidfile", "RUN/pid"]

    async def now(self, host: HostId, *, deadline: float) -> HostNow:
        self._reach(host)
        facts = self.host_facts
        return HostNow("fake", facts.max_cpus, (0.5, 0.25, 0.125), facts.memory, self.free, 86_400)

    async def measure(self, who: Incarnation, *, deadline: float) -> Usage:
        run = self._run(who)
        if run.usage is None or who.machine in self._silent:
            raise Unknown("its monitor does not answer")
        return run.usage

    # What a test plays

    def play(self, machine: UUID, fact: Fact, why: Why, *, seen: bool = True) -> None:
        """The guest does something by itself; `seen=False`: while no server watches."""
        run = self.runs[machine]
        if fact is Fact.ENDED:
            self._end(run, why, seen=seen)
            return
        run.fact, run.why = fact, why
        if seen:
            self._tell(run.who, fact, why)

    def lose(self, host: HostId) -> None:
        """The host does not answer any more. Its machines go on."""
        self._lost.add(host)
        self._news[host].put_nowait(None)

    def heal(self, host: HostId) -> None:
        """It answers again; nothing that was told meanwhile is heard."""
        self._lost.discard(host)

    def reboot(self, host: HostId) -> None:
        """Its machines end, and it remembers nothing. It is lost while it does so."""
        self.lose(host)
        for machine, run in list(self.runs.items()):
            if run.who.host == host:
                self._remove(run)
                self._silent.discard(machine)
        for machine, end in list(self.ends.items()):
            if end.who.host == host:
                del self.ends[machine]
        self._under_way.clear()
        self._epochs.clear()
        self.heal(host)

    def hang(self, machine: UUID) -> None:
        """Its monitor does not answer; what it is asked, it does when it answers again."""
        self._silent.add(machine)

    def wake(self, machine: UUID) -> None:
        """It answers again, does what it was asked, and tells what it does."""
        self._silent.discard(machine)
        self.arrive(machine)
        if (run := self.runs.get(machine)) is not None:
            self._tell(run.who, run.fact, run.why)

    def arrive(self, machine: UUID) -> None:
        """What is under way to it is done now, or refused."""
        coming = [work for of, work, _ in self._under_way if of == machine]
        self._under_way = [one for one in self._under_way if one[0] != machine]
        for work in coming:
            with contextlib.suppress(HypervisorError):
                work()

    def deed(self, who: Incarnation, work: Callable[[], None], *, heard: bool = False, begins: bool = False) -> int:
        """Do it; `heard`: also by one whose monitor does not answer; `begins`: it is the begin of a run."""
        self._reach(who.host)
        answer = self.answers.popleft() if self.answers else None
        if answer is Answer.LOST:
            raise Unknown("no answer in time")
        if answer is Answer.UNDER_WAY or (who.machine in self._silent and not heard):
            self._under_way.append((who.machine, work, begins))
            raise Unknown("no answer in time")
        work()
        if answer is Answer.LATE:
            raise Unknown("no answer in time")
        return self._told

    def _reach(self, host: HostId) -> None:
        if host in self._lost:
            raise Unknown(f"host {host} does not answer")

    def _fact(self, who: Incarnation, fact: Fact, why: Why) -> Changed:
        self._number += 1
        return Changed(who, fact, why, number=self._number)

    def _tell(self, who: Incarnation, fact: Fact, why: Why) -> None:
        self._hear(self._fact(who, fact, why))

    def _hear(self, changed: Changed) -> None:
        if changed.who.host not in self._lost:
            self._told = changed.number
            self._news[changed.who.host].put_nowait(changed)

    async def heard(self) -> None:
        """Returns when whoever listens has taken all news so far."""
        for queue in list(self._news.values()):
            await queue.join()

    async def _hindrance(self) -> None:
        if self.hold is not None:
            await self.hold.wait()
        if self.refuse is not None:
            words, self.refuse = self.refuse, None
            raise HypervisorError(words)

    def _who(self, machine: UUID) -> Incarnation | None:
        run = self.runs.get(machine)
        return None if run is None else run.who

    def _run(self, who: Incarnation) -> Run:
        self._reach(who.host)
        run = self.runs.get(who.machine)
        if run is None or run.who != who:
            raise NotRunning("this run has ended")
        return run

    def _end(self, run: Run, why: Why, *, seen: bool = True) -> None:
        self._remove(run)
        end = self._fact(run.who, Fact.ENDED, why)
        self.ends[run.who.machine] = end
        self._silent.discard(run.who.machine)
        if seen:
            self._hear(end)

    def _remove(self, run: Run) -> None:
        del self.runs[run.who.machine]
        self._epochs[run.who.machine] = max(run.who.epoch, self._epochs.get(run.who.machine, 0))
        self._logs[run.who.machine] = self._logs.get(run.who.machine, b"") + run.said
        for stream in run.streams:
            stream.end()
