"""Machines in memory that go from one hypervisor of this process to another."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from weakref import WeakValueDictionary

from velocity.hypervisor.fake.faults import Faults
from velocity.hypervisor.fake.guest import FakeRun
from velocity.hypervisor.fake.state import FakeState
from velocity.hypervisor.port import (
    NOT_NEWER,
    SAID,
    Copied,
    Fact,
    FactCause,
    HypervisorError,
    Incarnation,
    Landing,
    MachineSpec,
    MovePhase,
    MoveProgress,
    NotRunning,
    SerialEnd,
)

MIB = 1 << 20
PLACES = b"fake"
LOST = "the connection to the target host was lost: the machine continues here"

targets: WeakValueDictionary[str, FakeMobility] = WeakValueDictionary()
"""The network: where each key leads to."""


class FakeMobility:
    """Implements `velocity.hypervisor.port.Mobility`. `sent` are the moves that were begun here.

    On the source a test may set: `holds`, an event that each phase waits for before it is done; `breaks`, the words
    with which a phase fails; `cut`, that it does not reach the target. `under_way` is the phase that a machine is in.
    """

    def __init__(self, state: FakeState, faults: Faults) -> None:
        self.holds: dict[MovePhase, asyncio.Event] = {}
        self.breaks: dict[MovePhase, str] = {}
        self.cut = False
        self.sent: list[Incarnation] = []
        self.under_way: dict[Incarnation, MovePhase] = {}
        self._state = state
        self._faults = faults
        self._arriving: dict[str, FakeRun] = {}

    # On the target

    async def receive(
        self, who: Incarnation, spec: MachineSpec, places: bytes, copied: Sequence[Copied], *, deadline: float
    ) -> Landing:
        if not places.startswith(PLACES):
            raise HypervisorError("the places of its devices are described in an unknown form")
        landing = Landing("192.0.2.1", 8100, 8101, secrets.token_hex(32))

        def work() -> None:
            self._state.check_epoch(who)
            self._state.ends.pop(who.machine, None)
            self._state.keeps.add(who.machine)
            run = self._state.runs[who.machine] = FakeRun(who, spec, Fact.INCOMING, deaf=self._faults.deaf)
            self._arriving[landing.key] = run
            targets[landing.key] = self
            self._state.tell(who, Fact.INCOMING, FactCause.ASKED)

        self._state.reach(who.host)
        self._state.check_epoch(who)
        await self._faults.hinder()
        self._faults.deed(who, work, begins=True)
        return landing

    async def take(self, who: Incarnation, said: bytes, typed: bytes = b"", *, deadline: float) -> int:
        def work() -> None:
            run = self._state.running(who)
            if run.fact is Fact.INCOMING:
                raise HypervisorError("it has not been received")
            if run.fact is Fact.RECEIVED:
                self._state.logs[who.machine] = said
                run.fact = Fact.RUNNING
                run.type_in(typed)
            self._state.tell(who, run.fact, run.why)

        self._state.running(who)
        return self._faults.deed(who, work)

    async def release(self, who: Incarnation, *, deadline: float) -> None:
        def work() -> None:
            state = self._state
            run = state.runs.get(who.machine)
            if run is not None and run.who == who:
                if run.fact not in (Fact.INCOMING, Fact.RECEIVED):
                    raise HypervisorError("its guest runs here already")
                self._state.end(run, FactCause.ASKED)
            state.spend(who)
            end = state.ends.get(who.machine)
            if end is not None and end.who == who:
                del state.ends[who.machine]

        self._state.reach(who.host)
        self._faults.deed(who, work, heard=True)

    def arriving(self, key: str) -> FakeRun | None:
        """The machine that waits behind that key."""
        run = self._arriving.get(key)
        waits = run is not None and self._state.runs_now(run.who) and run.fact is Fact.INCOMING
        return run if waits else None

    def break_off(self, key: str) -> None:
        """Nobody sends any more."""
        if (run := self.arriving(key)) is not None:
            self._state.end(run, FactCause.ASKED)

    def complete(self, key: str, sent: FakeRun) -> None:
        """All of it is there."""
        run = self._arriving.pop(key)
        run.fact, run.resets, run.reads = Fact.RECEIVED, sent.resets, sent.reads
        self._state.tell(run.who, Fact.RECEIVED, FactCause.ASKED)

    # On the source

    async def places(self, who: Incarnation, *, deadline: float) -> bytes:
        self._state.running(who)
        return PLACES

    async def send(
        self, who: Incarnation, landing: Landing, copied: Sequence[Copied], *, deadline: float
    ) -> AsyncIterator[MoveProgress]:
        run = self._state.changeable(who)
        if run.fact is not Fact.RUNNING:
            raise HypervisorError("it does not run: only a running machine can be sent")
        if lacking := [one for one in copied if not run.devices.writes_to(one.source)]:
            raise HypervisorError(f"the run does not write to a disk {lacking[0].source.medium}")
        self.sent.append(who)
        run.moving = True
        sizes = {MovePhase.DISKS: MIB * len(copied), MovePhase.MEMORY: MIB * run.spec.memory}
        try:
            for phase in MovePhase:
                self.under_way[who] = phase
                run.handing_over = phase is MovePhase.HANDING_OVER
                size = sizes.get(phase, MIB)
                yield MoveProgress(phase, 0, size)
                await self._phase(run, landing.key, phase)
                yield MoveProgress(phase, size, size)
            self._faults.deed(who, lambda: self._hand_over(run, landing.key))
        finally:
            del self.under_way[who]
            if not self._faults.has_under_way(who.machine):
                self._settle(run, landing.key)

    async def _phase(self, run: FakeRun, key: str, phase: MovePhase) -> None:
        """Raises `HypervisorError`."""
        if (hold := self.holds.get(phase)) is not None:
            await hold.wait()
        if (fault := self._fault(run, key, phase)) is not None:
            raise fault

    def _fault(self, run: FakeRun, key: str, phase: MovePhase) -> HypervisorError | None:
        if not self._state.runs_now(run.who):
            return NotRunning("this run has ended")
        if phase in self.breaks:
            return HypervisorError(self.breaks[phase])
        return HypervisorError(LOST) if self.cut or self._target(key) is None else None

    def _target(self, key: str) -> FakeRun | None:
        target = targets.get(key)
        return None if target is None else target.arriving(key)

    def _hand_over(self, run: FakeRun, key: str) -> None:
        """Both or neither."""
        if not self._state.runs_now(run.who) or self._target(key) is None or self.cut:
            self._settle(run, key)
            raise HypervisorError(LOST)
        run.fact = Fact.HANDED
        targets[key].complete(key, run)
        self._settle(run, key)
        run.finish()
        self._state.tell(run.who, Fact.HANDED, FactCause.ASKED)

    def _settle(self, run: FakeRun, key: str) -> None:
        run.moving = run.handing_over = False
        if run.fact is not Fact.HANDED and not self.cut and key in targets:
            targets[key].break_off(key)

    async def last(self, who: Incarnation, *, deadline: float) -> SerialEnd:
        run = self._state.running(who)
        if run.fact is not Fact.HANDED:
            raise HypervisorError("it was not handed over")
        return SerialEnd((self._state.logs.get(who.machine, b"") + run.said)[-SAID:], bytes(run.unread))

    async def back(self, who: Incarnation, *, deadline: float) -> int:
        def work() -> None:
            run = self._state.runs.get(who.machine)
            if run is None:
                raise NotRunning("this run has ended")
            if run.who != who or run.fact is Fact.HANDED:
                if run.fact is not Fact.HANDED:
                    raise HypervisorError("it was not handed over")
                if who.epoch <= run.who.epoch:
                    raise HypervisorError(f"run {who.epoch} {NOT_NEWER} {run.who.epoch}")
                self._state.spend(run.who)
                run.who, run.fact, run.why = who, Fact.RUNNING, FactCause.ASKED
            self._state.tell(who, run.fact, run.why)

        self._state.reach(who.host)
        return self._faults.deed(who, work)
