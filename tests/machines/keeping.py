"""One keeper on the fake hypervisor and a store in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import msgspec

from velocity.access.rules import Discarded
from velocity.contract.machines import State
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.fake import FakeHypervisor
from velocity.hypervisor.port import (
    Fact,
    FactCause,
    FactReport,
    HostId,
    MachineSpec,
)
from velocity.machines.rules import Machine, RunRecord, Spec, Unreadable
from velocity.machines.run import states
from velocity.machines.run.keeper import Keeper
from velocity.machines.run.life import KeeperContext
from velocity.machines.run.observer import Observer
from velocity.media.rules import Medium


class MemoryStore:
    """Keeps `velocity.machines.port.MachineStore` for one machine."""

    def __init__(self) -> None:
        self.progress = RunRecord()
        self.kept: list[State] = []
        self.disk = asyncio.Event()
        self.disk.set()
        self.broken = False

    def load(self, host: HostId) -> tuple[Sequence[tuple[Machine, RunRecord]], Sequence[Unreadable]]:
        return [], []

    def discarded(self) -> dict[str, int]:
        return {}

    async def add(self, machine: Machine, media: Sequence[Medium] = ()) -> int:
        return 1

    async def remove(self, vmid: int, discarded: Discarded | None = None, media: Collection[UUID] = ()) -> None:
        return None

    async def alter(self, vmid: int, name: str, spec: Spec) -> None:
        return None

    async def move(self, vmid: int, gid: int, spec: Spec, media: Collection[UUID]) -> None:
        return None

    async def alter_run(self, vmid: int, epoch: int, spec: Spec) -> None:
        return None

    async def begin_run(self, vmid: int, wanted: State, spec: Spec, host: HostId) -> int:
        if self.broken:
            raise Refused(Problem.UNAVAILABLE, "the database does not answer")
        self.progress = RunRecord(self.progress.epoch + 1, wanted, run=spec, restarts=self.progress.restarts)
        return self.progress.epoch

    async def keep_progress(self, vmid: int, progress: RunRecord) -> None:
        await self.disk.wait()
        if self.broken:
            raise Refused(Problem.UNAVAILABLE, "the database does not answer")
        self.kept.append(progress.wanted)
        if progress.epoch >= self.progress.epoch:
            self.progress = progress


SPEC = Spec(
    cpus=1, memory_mib=64, displays=[], media=[], nics=[], rosetta=False, autostart=False,
    machine_type="fake-1.0", firmware="0",
)  # fmt: skip
HOST = HostId(1)


class Keeping:
    """One keeper with its host's observer, as a server has them."""

    def __init__(self, hypervisor: FakeHypervisor, next_press: Callable[[int], float] = states.next_press) -> None:
        self.hypervisor = hypervisor
        self.store = MemoryStore()
        self.machine = Machine(1, uuid4(), 0, "vm", SPEC)
        self.ended: list[Machine] = []
        self.observer = Observer(HOST, hypervisor.machines, lambda uuid: self.keeper, lambda: [self.keeper])
        self.house = KeeperContext(
            HOST,
            hypervisor.machines,
            self.observer,
            self.store,
            asyncio.Semaphore(4),
            lambda: 1000.0,
            self.prepare,
            self.ended.append,
            next_press,
        )
        self.keeper = Keeper(self.house, self.machine, RunRecord())

    async def prepare(self, machine: Machine) -> MachineSpec:
        return MachineSpec(machine.name, 1, 64, "fake-1.0", "0")

    async def tell(self, fact: Fact, why: FactCause, epoch: int | None = None) -> None:
        """The guest does something by itself."""
        if epoch is None:
            self.hypervisor.play(self.machine.uuid, fact, why)
        else:
            who = msgspec.structs.replace(self.keeper.who, epoch=epoch)
            self.keeper.apply_fact(FactReport(who, fact, why, number=1 << 30))
        await self.settle()

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        await self.keeper.settle()

    async def restart(self) -> None:
        """The server is killed, and another one comes: it knows what was written down, and asks the host."""
        await self.observer.close()
        self.keeper.retire()
        await self.hypervisor.machines.close()
        self.keeper = Keeper(self.house, self.machine, self.store.progress)
        await self.observer.open()
        await self.settle()

    def reason(self) -> str | None:
        return None if self.keeper.progress.reason is None else self.keeper.progress.reason.cause


@asynccontextmanager
async def keeping(
    hypervisor: FakeHypervisor, next_press: Callable[[int], float] = states.next_press
) -> AsyncIterator[Keeping]:
    k = Keeping(hypervisor, next_press)
    await k.observer.open()
    yield k
    await k.observer.close()
    await k.keeper.close(5)
