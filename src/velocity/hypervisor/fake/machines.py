"""Starting and stopping the machines of the hypervisor in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from velocity.hypervisor.fake.faults import Faults
from velocity.hypervisor.fake.guest import FakeRun
from velocity.hypervisor.fake.state import FakeState
from velocity.hypervisor.port import (
    Altered,
    Fact,
    FactCause,
    FactReport,
    HostId,
    HypervisorError,
    Incarnation,
    Listing,
    MachineSpec,
    NatSpec,
    Stop,
    Unknown,
)
from velocity.hypervisor.waits import AWAY
from velocity.storage.port import MediaRef


class FakeMachines:
    """Implements `velocity.hypervisor.port.Machines`. `started`, `altered` and `forgotten` are its calls."""

    def __init__(self, state: FakeState, faults: Faults) -> None:
        self.started: list[Incarnation] = []
        self.altered: list[tuple[Incarnation, MachineSpec]] = []
        self.forgotten: list[UUID] = []
        self._state = state
        self._faults = faults
        self._starting: dict[UUID, asyncio.Task[Any] | None] = {}

    async def start(self, who: Incarnation, spec: MachineSpec, *, deadline: float) -> int:
        self._state.reach(who.host)
        if self._state.runs_now(who):
            if (fact := self._state.runs[who.machine].fact) in AWAY:
                raise HypervisorError(AWAY[fact])
            return self._state.told
        self._state.check_epoch(who)
        self._starting[who.machine] = asyncio.current_task()
        try:
            await self._faults.hinder()
        except asyncio.CancelledError:
            if who.epoch > self._state.epochs.get(who.machine, 0):
                raise
            raise HypervisorError("a stop was requested during its start") from None
        finally:
            self._starting.pop(who.machine, None)
        return self._faults.deed(who, lambda: self._start(who, spec), begins=True)

    def _start(self, who: Incarnation, spec: MachineSpec) -> None:
        self._state.check_epoch(who)
        for nic in spec.nics:
            for one in nic.forwards if isinstance(nic, NatSpec) else ():
                if one.host_port in self._state.taken_ports:
                    raise HypervisorError(f"a process of the host has its port {one.host_port}")
        self._state.ends.pop(who.machine, None)
        self._state.keeps.add(who.machine)
        self.started.append(who)
        fact = Fact.HELD if spec.held else Fact.RUNNING
        self._state.runs[who.machine] = FakeRun(who, spec, fact, deaf=self._faults.deaf)
        self._state.tell(who, fact, FactCause.ASKED)

    async def pause(self, who: Incarnation, *, deadline: float) -> int:
        def work() -> None:
            run = self._state.changeable(who)
            if run.fact is Fact.RUNNING:
                run.fact, run.why = Fact.PAUSED, FactCause.ASKED
            self._state.tell(who, run.fact, run.why)

        self._state.changeable(who)
        return self._faults.deed(who, work)

    async def resume(self, who: Incarnation, *, deadline: float) -> int:
        def work() -> None:
            run = self._state.changeable(who)
            run.fact, run.why = Fact.RUNNING, FactCause.ASKED
            self._state.tell(who, run.fact, run.why)

        self._state.changeable(who)
        return self._faults.deed(who, work)

    async def reset(self, who: Incarnation, *, deadline: float) -> int:
        def work() -> None:
            run = self._state.changeable(who)
            run.resets += 1
            run.fact, run.why = Fact.RUNNING if run.fact is Fact.RUNNING else Fact.HELD, FactCause.ASKED
            self._state.tell(who, run.fact, run.why)

        self._state.changeable(who)
        return self._faults.deed(who, work)

    async def alter(self, who: Incarnation, spec: MachineSpec, *, deadline: float) -> Altered:
        self.altered.append((who, spec))
        answers: list[Altered] = []

        def work() -> None:
            run = self._state.changeable(who)
            run.spec, waits = run.devices.become(spec, self._state.taken_ports)
            answers.append(Altered(self._state.told, run.spec, waits))

        self._state.changeable(who)
        if self._faults.refuse_changes is not None:
            words, self._faults.refuse_changes = self._faults.refuse_changes, None
            raise HypervisorError(words)
        self._faults.deed(who, work)
        return answers[0]

    async def resize(self, who: Incarnation, media: MediaRef, size: int, *, deadline: float) -> int:
        self._state.changeable(who)
        return self._faults.deed(who, lambda: self._state.changeable(who).devices.resize(media, size))

    async def stop(self, who: Incarnation, how: Stop, *, deadline: float) -> int:
        self._state.reach(who.host)
        if how is Stop.NOW:
            return self._faults.deed(who, lambda: self._end_now(who), heard=True)
        number = self._state.told
        if self._state.runs_now(who):
            self._faults.deed(who, lambda: self._press(who))
        return number

    def _end_now(self, who: Incarnation) -> None:
        self._state.spend(who)
        if (start := self._starting.get(who.machine)) is not None:
            start.cancel()
        if self._state.runs_now(who):
            self._state.end(self._state.runs[who.machine], FactCause.ASKED)

    def _press(self, who: Incarnation) -> None:
        run = self._state.running(who)
        run.presses += 1
        if not run.deaf and run.fact is Fact.RUNNING:
            self._state.end(run, FactCause.GUEST_SHUTDOWN)

    async def facts(self, who: Incarnation, *, deadline: float) -> FactReport:
        state = self._state
        state.reach(who.host)
        if who.machine in state.silent or who.machine in self._starting or state.hands_over(who):
            raise Unknown("its monitor does not respond")
        if state.runs_now(who):
            run = state.runs[who.machine]
            return state.fact(who, run.fact, run.why)
        if (end := state.ends.get(who.machine)) is not None and end.who == who:
            return end
        state.spend(who)
        return state.fact(who, Fact.ABSENT, FactCause.UNKNOWN)

    async def adopt(self, host: HostId, *, deadline: float) -> Listing:
        state = self._state
        state.reach(host)
        self._faults.drop_starts()
        found = [end for end in state.ends.values() if end.who.host == host]
        for run in state.runs.values():
            if run.who.host == host:
                silent = run.who.machine in state.silent or state.hands_over(run.who)
                found.append(state.fact(run.who, Fact.SILENT if silent else run.fact, run.why))
        return Listing(host, tuple(found), state.next_number(), complete=True)

    async def acknowledge(self, who: Incarnation, *, deadline: float) -> None:
        self._state.reach(who.host)
        if (end := self._state.ends.get(who.machine)) is not None and end.who == who:
            del self._state.ends[who.machine]
        self._state.changed()

    async def news(self, host: HostId) -> AsyncIterator[FactReport]:
        while True:
            self._state.reach(host)
            queue = self._state.news[host]
            changed = await queue.get()
            try:
                if changed is None:
                    raise Unknown(f"host {host} does not respond")
                yield changed
            finally:
                queue.task_done()

    async def forget(self, host: HostId, machine: UUID, *, deadline: float) -> None:
        self._state.reach(host)
        self.forgotten.append(machine)
        self._state.logs.pop(machine, None)
        self._state.keeps.discard(machine)
        self._state.changed()

    async def close(self) -> None:
        self._state.news.clear()
