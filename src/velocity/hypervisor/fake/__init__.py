"""A hypervisor in memory with the behaviour of the port; a test plays the guest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from uuid import UUID

from velocity.hypervisor.fake.agent import FakeAgent as FakeAgent
from velocity.hypervisor.fake.agent import FakeGuests as FakeGuests
from velocity.hypervisor.fake.faults import Answer as Answer
from velocity.hypervisor.fake.faults import Faults as Faults
from velocity.hypervisor.fake.guest import NOTHING as NOTHING
from velocity.hypervisor.fake.guest import UNCONFINED, painted
from velocity.hypervisor.fake.guest import FakeRun as FakeRun
from velocity.hypervisor.fake.guest import FakeStream as FakeStream
from velocity.hypervisor.fake.machines import FakeMachines as FakeMachines
from velocity.hypervisor.fake.mirrors import FakeMirrors as FakeMirrors
from velocity.hypervisor.fake.mobility import FakeMobility as FakeMobility
from velocity.hypervisor.fake.state import FakeState as FakeState
from velocity.hypervisor.port import (
    ByteStream,
    Confinement,
    DisplayConsole,
    Fact,
    FactCause,
    HardwareProfile,
    HostFacts,
    HostId,
    HostNow,
    Incarnation,
    NicAddress,
    SerialConsole,
    Unknown,
    Usage,
)
from velocity.hypervisor.questions import without_questions
from velocity.hypervisor.waits import AWAY

FACTS = HostFacts(
    accelerator="fake",
    accelerator_reason="nothing is executed",
    hypervisor="fake 1.0",
    machine_type="fake-1.0",
    firmware="0123456789abcdef",
    hardware=(HardwareProfile("1", ""), HardwareProfile("2", "a second fake bus", spare_ports=8, agent=True)),
    cpu_models={"Fake": "", "FakeServer": "avx512f and sgx"},
    max_cpus=8,
    memory=4096,
    cpus=4,
)


AGAIN = 0.005
"""Seconds until it is looked again whether a guest reads."""


class FakeConsoles:
    """Implements `velocity.hypervisor.port.Consoles`."""

    def __init__(self, state: FakeState) -> None:
        self._state = state

    async def open(self, who: Incarnation, which: SerialConsole | DisplayConsole, *, deadline: float) -> ByteStream:
        run = self._state.running(who)
        stream = FakeStream(run, which)
        if isinstance(which, SerialConsole):
            stream.feed(without_questions(bytes(run.said)))
        run.streams.append(stream)
        return stream

    async def type_in(self, who: Incarnation, data: bytes, *, deadline: float) -> int:
        for _ in range(int(deadline / 2 / AGAIN)):
            if taken := self._taken(who, data):
                return taken
            await asyncio.sleep(AGAIN)
        return 0

    def _taken(self, who: Incarnation, data: bytes) -> int:
        run = self._state.running(who)
        return 0 if run.handing_over or run.fact in AWAY else run.type_in(data)

    async def said(self, host: HostId, machine: UUID, most: int, *, deadline: float) -> bytes:
        self._state.reach(host)
        run = self._state.runs.get(machine)
        return (self._state.logs.get(machine, b"") + (run.said if run else b""))[-most:]


class FakeScreens:
    """Implements `velocity.hypervisor.port.Screens`. `shots` are the calls that it has had.

    A test may set in `shows` what stands on a display: without it, the machine's name and the display's.
    """

    def __init__(self, state: FakeState, faults: Faults) -> None:
        self.shows: dict[tuple[UUID, int], str] = {}
        self.shots: list[tuple[Incarnation, int]] = []
        self._state = state
        self._faults = faults

    async def shot(self, who: Incarnation, index: int, *, deadline: float) -> bytes:
        self.shots.append((who, index))
        await self._faults.hinder()
        spec = self._state.running(who).spec
        display = spec.displays[index]
        if who.machine in self._state.silent:
            raise Unknown("its monitor does not respond")
        words = self.shows.get((who.machine, index), f"{spec.name} {display.name}")
        return painted(words, display.width, display.height)


class FakeMeters:
    """Implements `velocity.hypervisor.port.Meters`."""

    def __init__(self, state: FakeState) -> None:
        self._state = state

    async def measure(self, who: Incarnation, *, deadline: float) -> Usage:
        run = self._state.running(who)
        if run.usage is None or who.machine in self._state.silent:
            raise Unknown("its monitor does not respond")
        return run.usage


class FakeHosts:
    """Implements `velocity.hypervisor.port.Hosts`. A test may set how many MiB are `free`, and how `busy` it was.

    Of machines it may set the addresses that the host has `heard`.
    """

    def __init__(self, state: FakeState, host_facts: HostFacts) -> None:
        self.heard: list[NicAddress] = []
        self.free = host_facts.memory
        self.busy = 0.0
        self._facts = host_facts
        self._state = state

    def about(self, host: HostId) -> HostFacts:
        return self._facts

    async def now(self, host: HostId, *, deadline: float) -> HostNow:
        self._state.reach(host)
        facts = self._facts
        return HostNow("fake", facts.max_cpus, (0.5, 0.25, 0.125), facts.memory, self.free, 86_400, self.busy)

    async def memory_free(self, host: HostId, *, deadline: float) -> int:
        self._state.reach(host)
        return self.free

    async def kept(self, host: HostId, *, deadline: float) -> Collection[UUID]:
        self._state.reach(host)
        return self._state.keeps - self._state.runs.keys() - self._state.ends.keys()

    async def neighbours(self, host: HostId, *, deadline: float) -> Collection[NicAddress]:
        self._state.reach(host)
        return [one for one in self.heard if one.machine in self._state.runs]

    async def confinement(self, who: Incarnation, *, deadline: float) -> Confinement | None:
        self._state.reach(who.host)
        return UNCONFINED if who.machine in self._state.runs else None

    async def command(self, who: Incarnation, *, deadline: float) -> Sequence[str] | None:
        self._state.reach(who.host)
        if not self._state.runs_now(who):
            return None
        return ["fake", "-uuid", str(who.machine), "-pidfile", "RUN/pid"]


class FakeHypervisor:
    """Implements `velocity.hypervisor.port.Hypervisor`. Machines survive `machines.close` in `runs`, like processes."""

    def __init__(
        self, host_facts: HostFacts = FACTS, machines: Callable[[FakeState, Faults], FakeMachines] = FakeMachines
    ) -> None:
        self.state = FakeState()
        self.runs = self.state.runs
        self.faults = Faults(self.state)
        self.machines = machines(self.state, self.faults)
        self.consoles = FakeConsoles(self.state)
        self.screens = FakeScreens(self.state, self.faults)
        self.meters = FakeMeters(self.state)
        self.guests = FakeGuests(self.state)
        self.mirrors = FakeMirrors(self.state, self.faults)
        self.mobility = FakeMobility(self.state, self.faults)
        self.hosts = FakeHosts(self.state, host_facts)

    def play(self, machine: UUID, fact: Fact, why: FactCause, *, seen: bool = True, detail: str = "") -> None:
        """The guest does something by itself; `seen=False`: while no server watches; `detail`: as a reason to end."""
        run = self.runs[machine]
        if fact is Fact.ENDED:
            self.state.end(run, why, seen=seen, detail=detail)
            return
        run.fact, run.why = fact, why
        if seen:
            self.state.tell(run.who, fact, why)

    def let_go(self, machine: UUID) -> None:
        """The guest lets go of what it was to, and of whatever is taken out from here on."""
        run = self.runs[machine]
        run.devices.lets_go = True
        run.devices.let_go()
        self.state.tell(run.who, run.fact, run.why, devices=True)

    async def heard(self) -> None:
        """Returns when the observer has taken all news so far."""
        for queue in list(self.state.news.values()):
            await queue.join()
