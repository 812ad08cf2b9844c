"""A VM on its way to another host: keeps other requests from it, and remembers its run before."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from velocity.contract.machines import State
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.port import Fact, HostId, Incarnation
from velocity.machines.record import Record
from velocity.machines.rules import Machine, RunRecord

T = TypeVar("T")
OVER = frozenset({Fact.ENDED, Fact.ABSENT})
BETWEEN = frozenset({Fact.INCOMING, Fact.RECEIVED, Fact.HANDED})
"""The facts of a run that stands still between two hosts: whoever moves it knows what follows."""


@dataclass(frozen=True)
class Moving:
    """Where to, and for whoever wants something else of it, in words.

    `tid` is the task that moves it; None: a server before this one began it. `overtake` is called when a forced stop is
    asked for.
    """

    to: HostId
    words: str
    tid: int | None = None
    overtake: Callable[[], None] = lambda: None
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Traveller(Protocol):
    """What is asked of a VM: a `Life`."""

    context: Any
    machine: Machine
    number: int
    progress: RunRecord
    record: Record
    retired: bool

    @property
    def who(self) -> Incarnation: ...

    def mark_unknown(self) -> None: ...


class Passage(Struct, eq=False):
    """That of one VM. `moving`: it is on its way; `formerly` is what its present run was on other hosts.

    `freed` is called when it is on its way no more. `stands`: its guest is known to stand still between the two.
    `end_heard`: its run has ended at its source. A struct, as one is made with each VM, and that costs nothing.
    """

    vm: Traveller
    freed: Callable[[], None]
    moving: Moving | None = None
    formerly: tuple[Incarnation, ...] = ()
    end_heard: bool = False
    stands: bool = False

    def set(self, moving: Moving | None) -> None:
        """It is on its way, or no more. What is known of its end is heard then."""
        if self.moving is not None and moving is None:
            self.moving.ended.set()
            self.stands = False
        self.moving = moving
        if moving is None and self.end_heard:
            self.end_heard = False
            self.vm.mark_unknown()
        if not self.vm.retired:
            self.vm.context.changed(self.vm.machine)
        if moving is None:
            self.freed()

    def tell(self, words: str) -> None:
        """From here on this is what whoever wants something else of it is told."""
        if self.moving is not None:
            self.moving = replace(self.moving, words=words)

    def awaits(self, host: HostId) -> bool:
        """Whether it is on its way to that host."""
        return self.moving is not None and self.moving.to == host

    def check_not_moving(self) -> None:
        """Raises `Refused` while it is on its way."""
        if self.moving is not None:
            raise Refused(Problem.VM_MOVING, self.moving.words, field="vmid")

    async def unless_moving(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do it. Raises `Refused` while it is on its way."""
        self.check_not_moving()
        return await work()

    async def wait(self, seconds: float) -> None:
        """Returns when it is not, or no more, on its way, or after so many seconds."""
        if self.moving is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.moving.ended.wait()

    def overtake(self) -> None:
        """A forced stop is asked for: what has not been handed over is not."""
        if self.moving is not None:
            self.moving.overtake()

    def keeps_to_itself(self, fact: Fact) -> bool:
        """Whether it is an end that need not be the VM's: whoever moves it decides, unless it was wanted."""
        if self.moving is None or self.vm.progress.wanted is State.STOPPED or fact not in OVER:
            return False
        self.end_heard = True
        return True

    def go_to(self, host: HostId) -> None:
        """A run of it begins there."""
        vm = self.vm
        if host != vm.machine.host and vm.context.rehome is not None:
            vm.context = vm.context.rehome(vm, host)
            vm.number = 0

    def go_on_as(self, context: object, machine: Machine, epoch: int) -> None:
        """From here on it is this machine, and its run, if there is one, goes on under that epoch (0: the same)."""
        vm = self.vm
        if vm.progress.run is not None:
            self.formerly = (*self.formerly, vm.who)
        vm.context, vm.machine, vm.number, self.end_heard = context, machine, 0, False
        if epoch:
            vm.progress = replace(vm.progress, epoch=epoch)
            vm.record.note()  # what was noted under the former one, since that was committed, is not stored
