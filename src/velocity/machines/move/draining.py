"""Draining a host: its VMs move away, two at a time, and those that cannot are named with the reason."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable

from velocity import plan
from velocity.access.directory import Directory
from velocity.access.lasting import WhileAllowed, still_holds
from velocity.access.rules import ROOT_GROUP
from velocity.access.sessions import Caller
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem, Refused
from velocity.contract.tasks import TaskState
from velocity.hypervisor.attached import Duty
from velocity.hypervisor.port import HostId
from velocity.machines.hosts import where
from velocity.machines.move.service import HostMoves
from velocity.machines.run.keeper import Keeper
from velocity.machines.service import Fleet
from velocity.storage.patience import waiting
from velocity.tasks.rules import DRAIN
from velocity.tasks.service import NotWholly, TaskProgress, Tasks
from velocity.uninterrupted import ended

AT_ONCE = 2
A_DAY = 86_400.0
NAMED = 20
"""VMs that the task's message names for one reason."""


class Draining:
    """Drains hosts."""

    def __init__(self, directory: Directory, fleet: Fleet, moves: HostMoves, tasks: Tasks) -> None:
        self._directory = directory
        self._fleet = fleet
        self._moves = moves
        self._tasks = tasks
        self._under_way: set[HostId] = set()
        self._choosing = asyncio.Lock()
        """Held while a target is chosen, as VMs with the same `together` or `spread` depend on each other's hosts."""

    async def begin(self, caller: Caller, host: int, drain: Callable[[], Awaitable[object]]) -> int:
        """Begin the task. `drain` keeps new VMs from the host. Raises `Refused`: it has not begun.

        The task belongs to the root group, as it names VMs of all groups and what hosts lack.
        """
        one = self._fleet.hosts.attached.find(host)
        if one is None:
            raise Refused(Problem.HOST_NOT_FOUND, f"there is no host {host}", field="host")
        if not self._fleet.hosts.attached.many:
            raise Refused(Problem.NO_HOST, "there is no other host: VMs cannot move away", field="host")
        if silence := self._fleet.hosts.attached.silence(one.host):
            words = (
                f"{silence}, so its VMs cannot move: {self._fleet.hosts.attached.remedy(one.host)}; `velocity node "
                "drain` alone lets no new ones come"
            )
            raise Refused(Problem.NO_HOST, words, field="host")
        if one.host in self._under_way:
            raise Refused(Problem.NODE_BUSY, f"host {one.name!r} is being drained already", field="host")
        if plan.is_plan():
            await self._tell(one.host)
        still = still_holds(self._directory, caller.uid, Permission.NODE_MANAGE, ROOT_GROUP)

        async def work(progress: TaskProgress) -> None:
            try:
                async with WhileAllowed(still):
                    if not self._drains(one.host):  # a host in maintenance stays in it
                        await drain()
                    await self._drain(caller, one.host, progress)
            finally:
                self._under_way.discard(one.host)

        self._under_way.add(one.host)
        try:
            return await self._tasks.begin(caller, DRAIN, ROOT_GROUP, one.name, None, work, lambda: None, unit="VMs")
        except BaseException:
            self._under_way.discard(one.host)
            raise

    async def _tell(self, host: HostId) -> None:
        """Report to a plan which VMs would go where, and why others would stay."""
        stays: list[str] = []
        planned: list[tuple[Keeper, HostId]] = []
        hosts = self._fleet.hosts.attached
        if not self._drains(host):
            duty = {"duty": (hosts.by_id[host].duty.value, Duty.DRAINING.value)}
            plan.step("change", "host", hosts.by_id[host].name, id=host, changes=duty)
        for keeper in self._of(host):
            try:
                target = await self._moves.targets.best(keeper, planned)
            except Refused as refused:
                stays.append(f"{keeper.called} would stay: {refused.message}")
                continue
            planned.append((keeper, target.host))
            names = {"host": (where.of(hosts, host), where.of(hosts, target.host))}
            plan.step("change", "vm", keeper.machine.name, id=keeper.machine.vmid, gid=keeper.gid, changes=names)
        plan.warns(stays)

    def _of(self, host: HostId) -> list[Keeper]:
        return list(self._fleet.hosts.of(host).keepers.values())

    def _drains(self, host: HostId) -> bool:
        """Whether the host gets no new VMs."""
        one = self._fleet.hosts.attached.find(host)
        return one is None or one.duty is not Duty.ACTIVE

    def _coming_to(self, host: HostId) -> list[Keeper]:
        """The VMs whose moves to the host began before the drain."""
        others = (one for one in self._fleet.hosts.by_id if one != host)
        return [keeper for other in others for keeper in self._of(other) if keeper.passage.awaits(host)]

    async def _drain(self, caller: Caller, host: HostId, progress: TaskProgress) -> None:
        """Raises `NotWholly` if some VMs stay, and `Refused` if the host was activated meanwhile."""
        waiting = [*self._of(host), *self._coming_to(host)]
        report = _Report(len(waiting))
        progress.total, progress.said = len(waiting), report.words
        waiting.reverse()

        async def one_by_one() -> None:
            while waiting and self._drains(host):
                await self._move(caller, waiting.pop(), host, report)
                progress.done = report.moved

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(one_by_one())
        if waiting:
            raise Refused(Problem.NODE_BUSY, "the host was activated meanwhile: its other VMs stay")
        if report.stays:
            raise NotWholly

    async def _move(self, caller: Caller, keeper: Keeper, host: HostId, report: _Report) -> None:
        try:
            tid = await self._begin(caller, keeper, host)
        except Refused as refused:
            report.stay(keeper, refused.message)
            return
        if tid is None:
            report.moved += 1
            return
        try:
            task = await self._tasks.ended(tid)
        except asyncio.CancelledError:
            await self._tasks.cancel(tid)
            raise
        if task.state is TaskState.DONE:
            report.moved += 1
        else:
            report.stay(keeper, task.message or "its move was cancelled")

    async def _begin(self, caller: Caller, keeper: Keeper, host: HostId) -> int | None:
        """Begin the task that moves it; None: somebody else has deleted it or moved it away. Raises `Refused`."""
        while True:
            await keeper.passage.wait(A_DAY)
            async with self._choosing:
                if self._fleet.find(keeper.machine.vmid) is not keeper or keeper.machine.host != host:
                    return None
                if not self._directory.holds(caller.uid, Permission.VM_ALTER, keeper.gid):
                    words = f"you need {Permission.VM_ALTER.value} on its group"
                    raise Refused(Problem.NO_PERMISSION, words)
                try:
                    return await self._begun(caller, keeper)
                except Refused as refused:
                    if refused.problem is not Problem.VM_MOVING:
                        raise

    async def _begun(self, caller: Caller, keeper: Keeper) -> int:
        """Begin the task that moves it, and cancel that if this is cancelled meanwhile. Raises `Refused`."""
        begun = asyncio.Event()
        with waiting(None):  # it has its turn with the VM, whose requests would wait with it
            moving = self._moves.begin(caller, keeper.machine.vmid, None, begins=begun.set)
            beginning = asyncio.ensure_future(moving)
        try:
            return await asyncio.shield(beginning)
        except asyncio.CancelledError:
            if not begun.is_set():
                beginning.cancel()
            with contextlib.suppress(asyncio.CancelledError, Refused):
                await ended(beginning)
            if not beginning.cancelled() and beginning.exception() is None:
                await self._tasks.cancel(beginning.result())
            raise


class _Report:
    """How many VMs were moved, and which were not, and why."""

    def __init__(self, total: int) -> None:
        self._total = total
        self.moved = 0
        self._stays: defaultdict[str, list[str]] = defaultdict(list)
        """Reason -> VMs."""

    @property
    def stays(self) -> bool:
        return bool(self._stays)

    def stay(self, keeper: Keeper, reason: str) -> None:
        self._stays[reason].append(f"{keeper.machine.name!r} ({keeper.machine.vmid})")

    def words(self) -> str:
        said = [f"moved {self.moved} of {self._total} VMs"]
        for reason, vms in self._stays.items():
            more = f" and {len(vms) - NAMED} more" if len(vms) > NAMED else ""
            said.append(f"not moved: {', '.join(vms[:NAMED])}{more}: {reason}")
        return "; ".join(said)
