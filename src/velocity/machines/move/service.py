"""Moves of VMs to other hosts, as tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from velocity import plan
from velocity.access.directory import Directory
from velocity.access.lasting import Check, WhileAllowed, check_admitted, still_holds
from velocity.access.sessions import Caller
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem, Refused
from velocity.fair import FairGate
from velocity.machines.hosts import where
from velocity.machines.move.carrying import Carrying
from velocity.machines.move.crossing import Crossing, Holding, draft
from velocity.machines.move.settling import Settling
from velocity.machines.move.targets import Pairs, Target, Targets, check_steady
from velocity.machines.rules import move_task
from velocity.machines.run.keeper import Keeper
from velocity.machines.run.passage import Moving
from velocity.machines.service import Fleet
from velocity.media.room import Room
from velocity.media.usage import DiskUsage
from velocity.tasks.service import TaskProgress, Tasks
from velocity.uninterrupted import ended, whole

KIND = "move_vm"
AT_ONCE, OWN = 4, 2
"""VMs that move at the same time: in all, and of one user. The others wait in turn."""
CLEARS = 5.0
"""Seconds that the next move of a VM waits until the last one is cleared."""
PATIENCE, SOON = 15.0, 3.0
"""Seconds that a task waits for the outcome of its move, and a cancelled task; then the move continues without it."""


class HostMoves:
    """Moves VMs to other hosts."""

    def __init__(
        self,
        directory: Directory,
        fleet: Fleet,
        targets: Targets,
        holding: Holding,
        carrying: Carrying,
        settling: Settling,
        room: Room,
        tasks: Tasks,
        usage: DiskUsage,
    ) -> None:
        self._directory = directory
        self._fleet = fleet
        self.targets = targets
        self._holding = holding
        self._carrying = carrying
        self.settling = settling
        self._room = room
        self._tasks = tasks
        self._usage = usage
        self._turns = FairGate(AT_ONCE, OWN)

    async def begin(
        self,
        caller: Caller,
        vmid: int,
        host: int | None,
        mpid: int | None = None,
        begins: Callable[[], None] = lambda: None,
    ) -> int:
        """Begin the task that moves a VM to a host, or to the best one (None). Raises `Refused`: it has not begun.

        `begins` is called when it has its turn with the VM: before, nothing begins if the caller is cancelled.
        """
        keeper = self._fleet.get(vmid)
        if clearing := self.settling.clearing(keeper):
            await asyncio.wait(clearing, timeout=CLEARS)

        async def work() -> int:
            begins()
            return await self._begin(caller, keeper, host, mpid)

        return await keeper.alone(work)

    async def _begin(self, caller: Caller, keeper: Keeper, host: int | None, mpid: int | None) -> int:
        """Runs in the keeper's turn, until the VM is marked as moving."""
        target = await self._target(caller, keeper, host, mpid)
        self.targets.check_rights(caller, target.media)
        await self.targets.check_memory(keeper, target)
        check_admitted()
        check_steady(keeper)
        self.targets.check(keeper, target.host)
        crossing = Crossing(draft(keeper, target.host, target.media), keeper, target.media)
        self._holding.hold(crossing, Moving(target.host))
        try:
            return await self._tasks.begin(
                caller,
                KIND,
                keeper.gid,
                keeper.machine.name,
                move_task(keeper.machine.uuid, target.host),
                lambda progress: self._work(caller, crossing, target, progress),
                lambda: self._frees(target.media),
                lambda: self._prepare(keeper, target),
            )
        except BaseException:
            if not crossing.begun:
                crossing.held.close()
            raise

    async def _target(self, caller: Caller, keeper: Keeper, host: int | None, mpid: int | None) -> Target:
        if keeper.retired:
            raise Refused(Problem.VM_NOT_FOUND, f"there is no VM {keeper.machine.vmid}", field="vmid")
        check_steady(keeper)
        if self._fleet.evacuation.evacuated.is_freed(keeper.who):
            words = f"the host of {keeper.called} is lost: start the VM, which brings it to another one"
            raise Refused(Problem.NO_HOST, words, field="vmid")
        if host is None:
            target = await self.targets.best(keeper)
        else:
            target = await self.targets.find(keeper, host, mpid)
        if self.settling.leaves(keeper, target.host):
            raise Refused(
                Problem.NO_HOST,
                f"remains of an earlier move of {keeper.called} are still on "
                f"{self._fleet.hosts.attached.called(target.host)}: wait until they are removed, or choose another "
                "host",
                field="host",
            )
        return target

    async def _prepare(self, keeper: Keeper, target: Target) -> None:
        sizes: dict[tuple[int, int], int] = {}
        for _, new in target.media:
            sizes[new.gid, new.mpid] = sizes.get((new.gid, new.mpid), 0) + new.size
        for (gid, mpid), size in sizes.items():
            await self._room.find(gid, mpid, size)
        machine, hosts = keeper.machine, self._fleet.hosts.attached
        names = {"host": (where.of(hosts, machine.host), where.of(hosts, target.host))}
        live = ["host"] if keeper.progress.run is not None else []
        plan.step("change", "vm", machine.name, id=machine.vmid, gid=machine.gid, changes=names, live=(live, {}))
        for old, new in target.media:
            pools = {"mpid": (old.mpid, new.mpid)}
            plan.step("change", "medium", old.name, id=old.mid, gid=old.gid, changes=pools)

    def _frees(self, media: Pairs) -> None:
        """Report to a plan what a cancellation would free."""
        for _, new in media:
            plan.consumes(new.gid, {"bytes": -new.size}, mpid=new.mpid)

    # The task

    async def _work(self, caller: Caller, crossing: Crossing, target: Target, progress: TaskProgress) -> int:
        """Move it. A failure raises the reason; then the VM is where it was, unless the reason says otherwise."""
        crossing.begun = True
        failure: BaseException | None = None
        try:
            async with WhileAllowed(self._still_allowed(caller, crossing)) as right:
                keeper = self._show(crossing, progress, right)
                async with self._turns.place(caller.uid):
                    await self.targets.check_memory(keeper, target)  # it may have waited for its turn
                    self.targets.check(keeper, target.host)
                    await ended(asyncio.ensure_future(self.settling.begin(crossing)))  # stored also if it is cancelled
                    await self._carrying.carry(crossing, progress, right)
                crossing.carried = True
        except BaseException as error:
            failure = error
        if not crossing.move.mvid:
            crossing.held.close()
        elif await self._settled(crossing, cancelled=isinstance(failure, asyncio.CancelledError)):
            await self._usage.measure([new for _, new in crossing.media])
            return crossing.move.vmid
        raise failure or Refused(
            Problem.HYPERVISOR, "it was stopped meanwhile, or its target has ended: it stays where it was"
        )

    def _show(self, crossing: Crossing, progress: TaskProgress, right: WhileAllowed) -> Keeper:
        """Show the task on its VM; until everything is carried over, a forced stop of the VM ends the task."""
        keeper = crossing.keeper
        assert keeper is not None, "it has been since the request"

        def overtake() -> None:
            if not crossing.carried:
                words = "the VM was forced off meanwhile: it stays where it was"  # its task names it
                right.end(Refused(Problem.HYPERVISOR, words))

        assert keeper.passage.moving is not None, "it is held"
        keeper.passage.set(replace(keeper.passage.moving, tid=progress.tid, overtake=overtake))
        return keeper

    def _still_allowed(self, caller: Caller, crossing: Crossing) -> Check:
        keeper = crossing.keeper
        assert keeper is not None, "it has been since the request"
        checks: Sequence[Check] = [
            still_holds(self._directory, caller.uid, Permission.VM_ALTER, keeper.gid),
            *(still_holds(self._directory, caller.uid, Permission.MEDIA_CREATE, new.gid) for _, new in crossing.media),
        ]

        def check() -> None:
            for one in checks:
                one()

        return check

    async def _settled(self, crossing: Crossing, *, cancelled: bool) -> bool:
        """Whether it has moved. Raises `Refused` if that is not known in time: the move is settled without the task."""
        settling = self.settling.settle(crossing)

        async def wait(seconds: float) -> None:
            await asyncio.wait({settling}, timeout=seconds)

        try:
            await (whole(wait(SOON)) if cancelled else wait(PATIENCE))
        except asyncio.CancelledError:
            await whole(wait(SOON))
        if settling.done() and not settling.cancelled():
            return settling.result()
        raise Refused(
            Problem.HYPERVISOR,
            "its outcome is not known yet, as a host does not respond: the move is completed or undone as soon as it "
            "does",
        )
