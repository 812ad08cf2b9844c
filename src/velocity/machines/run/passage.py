"""A VM's move to another host: keeps other requests from it, and remembers its former runs."""

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
from velocity.machines.rules import Machine, RunRecord
from velocity.machines.run.record import Record

T = TypeVar("T")
OVER = frozenset({Fact.ENDED, Fact.ABSENT})
"""The facts that a run does not exist any more."""
BETWEEN = frozenset({Fact.INCOMING, Fact.RECEIVED, Fact.HANDED})
"""The facts of a run that stands still between two hosts: the move knows what follows."""

MOVING = (
    "is being moved to {host}: wait until that has ended, cancel it (`velocity task list`), or stop the VM with force"
)


@dataclass(frozen=True)
class Moving:
    """The target, and the message for other requests, whose subject is the VM. `{host}` in it is the host `named`.

    `named`: None is the target.
    `tid` is the task; None: an earlier server began the move. `overtake` is called when a forced stop is requested.
    `decided`: its guest runs on there, or the move has ended.
    """

    to: HostId
    words: str = MOVING
    named: HostId | None = None
    tid: int | None = None
    overtake: Callable[[], None] = lambda: None
    decided: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Traveller(Protocol):
    """The parts of a `Life` that are needed here."""

    context: Any
    machine: Machine
    number: int
    progress: RunRecord
    record: Record
    retired: bool

    @property
    def who(self) -> Incarnation: ...

    @property
    def called(self) -> str: ...

    def mark_unknown(self) -> None: ...


class Passage(Struct, eq=False):
    """One VM's move. `moving`: it is under way; `formerly` are the runs on other hosts that the present run continues.

    `freed` is called at its end. `stands`: its guest is known to stand still. `end_heard`: its run has ended on a host,
    which is looked at once the move has. A struct, as one is made for each VM.
    """

    vm: Traveller
    freed: Callable[[], None]
    moving: Moving | None = None
    formerly: tuple[Incarnation, ...] = ()
    end_heard: bool = False
    stands: bool = False

    def set(self, moving: Moving | None) -> None:
        """Begin or end a move. An end of the run that was held back is looked at again."""
        if self.moving is not None and moving is None:
            self.goes_on()
            self.moving.ended.set()
        self.moving = moving
        if moving is None and self.end_heard:
            self.end_heard = False
            self.vm.mark_unknown()
        if not self.vm.retired:
            self.vm.context.changed(self.vm.machine)
        if moving is None:
            self.freed()

    def goes_on(self) -> None:
        """Its guest runs on the VM's present host: consoles follow it there, even before the move is cleared up."""
        self.stands = False
        if self.moving is not None:
            self.moving.decided.set()

    def tell(self, words: str, named: HostId) -> None:
        """Change the message for other requests."""
        if self.moving is not None:
            self.moving = replace(self.moving, words=words, named=named)

    def words(self, moving: Moving) -> str:
        """What a refusal of the present request says of the move; its subject is the VM."""
        return moving.words.format(host=self.vm.context.called_host(moving.named or moving.to))

    def awaits(self, host: HostId) -> bool:
        """Whether it is moving to that host."""
        return self.moving is not None and self.moving.to == host

    def check_not_moving(self) -> None:
        """Raises `Refused` while it is moving."""
        if self.moving is not None:
            raise Refused(Problem.VM_MOVING, f"{self.vm.called} {self.words(self.moving)}", field="vmid")

    async def unless_moving(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do the work. Raises `Refused` while it is moving."""
        self.check_not_moving()
        return await work()

    async def follow(self, seconds: float) -> None:
        """Returns when it is known where its guest runs, or after so many seconds if it does not stand still."""
        if self.moving is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if self.stands else seconds):
                    await self.moving.decided.wait()

    async def wait(self, seconds: float) -> None:
        """Returns when it is not moving, or after so many seconds."""
        if self.moving is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.moving.ended.wait()

    def overtake(self) -> None:
        """A forced stop is requested: cancel a move that has not been handed over."""
        if self.moving is not None:
            self.moving.overtake()

    def keeps_to_itself(self, fact: Fact) -> bool:
        """Whether the fact need not mean the VM's end: then the move decides, unless a stop was requested."""
        if self.moving is None or self.vm.progress.wanted is State.STOPPED or fact not in OVER:
            return False
        self.end_heard = True
        return True

    def go_to(self, host: HostId) -> None:
        """A run of it begins on that host."""
        vm = self.vm
        if host != vm.machine.host and vm.context.rehome is not None:
            vm.context = vm.context.rehome(vm, host)
            vm.number = 0

    def go_on_as(self, context: object, machine: Machine, epoch: int) -> None:
        """It is this machine from now on, and its run continues with that epoch (0: the same)."""
        vm = self.vm
        if vm.progress.run is not None:
            self.formerly = (*self.formerly, vm.who)
        vm.context, vm.machine, vm.number, self.end_heard = context, machine, 0, False
        if epoch:
            vm.progress = replace(vm.progress, epoch=epoch)
            vm.record.note()  # changes noted for the former run after the commit were not stored
