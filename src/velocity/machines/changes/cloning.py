"""Clones VMs: settings, and copies of the disks that they write to; completely, or not at all."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from msgspec import UNSET, UnsetType, structs

from velocity import plan
from velocity.access.directory import Directory
from velocity.access.lasting import Check, WhileAllowed, still_holds
from velocity.access.naming import sees_hosts
from velocity.access.rules import NOTHING
from velocity.access.sessions import Caller
from velocity.access.updates import DirectoryWriter
from velocity.contract.cloning import CloneVm
from velocity.contract.fields import NAME_LENGTH
from velocity.contract.media import CloneMedium
from velocity.contract.permissions import Permission
from velocity.contract.problems import OutcomeUnknown, Problem, Refused
from velocity.hypervisor.port import HostId, Hypervisor
from velocity.machines import rules
from velocity.machines.hosts import where
from velocity.machines.hosts.variables import copy_variables, drop_variables
from velocity.machines.placement.rules import Placed, Wanted, place
from velocity.machines.port import MachineStore
from velocity.machines.rules import Machine, RunRecord, Spec
from velocity.machines.run.keeper import Keeper
from velocity.machines.service import Fleet
from velocity.machines.settings import cloud_init, interfaces
from velocity.machines.settings.checks import Checks
from velocity.media.conversions import Conversions, Copy
from velocity.media.creation import Creation
from velocity.media.library import Library
from velocity.media.room import Room
from velocity.media.rules import Medium
from velocity.storage.patience import reach
from velocity.storage.port import Storage
from velocity.tasks.service import Made, TaskProgress, Tasks
from velocity.uninterrupted import ended, whole

KIND = "clone_vm"


@dataclass
class Draft:
    """A clone that does not exist yet. `owned`: it does, and its reservations are not released any more."""

    source: Keeper
    machine: Machine
    copies: Sequence[Copy]
    fresh: bool
    warnings: list[str]
    why: str = ""
    """Why it is on its host; empty if there was no choice."""
    owned: bool = False


class Cloning:
    """Clones VMs, in tasks."""

    def __init__(
        self,
        store: MachineStore,
        directory: Directory,
        updates: DirectoryWriter,
        library: Library,
        fleet: Fleet,
        checks: Checks,
        hypervisor: Hypervisor,
        conversions: Conversions,
        creation: Creation,
        room: Room,
        tasks: Tasks,
    ) -> None:
        self._store = store
        self._directory = directory
        self._updates = updates
        self._library = library
        self._fleet = fleet
        self._checks = checks
        self._hypervisor = hypervisor
        self._conversions = conversions
        self._creation = creation
        self._room = room
        self._tasks = tasks

    async def begin(self, caller: Caller, request: CloneVm) -> int:
        """Begin the task that clones. Raises `Refused` before it begins."""
        async with AsyncExitStack() as preparing:
            draft = await self._draft(caller, request, preparing)
            held = preparing.pop_all()
        machine = draft.machine

        async def work(progress: TaskProgress) -> int:
            async with held:
                return await self._make(caller, draft, progress)

        async def prepare() -> None:
            takes: defaultdict[int, int] = defaultdict(int)
            for copy in draft.copies:
                takes[copy.medium.mpid] += copy.takes
            for mpid, size in takes.items():
                await self._room.find(machine.gid, mpid, size)
            self._directory.group(machine.gid)  # it may have been deleted meanwhile
            there = (where.of_machine(self._fleet.hosts.attached, machine), draft.why) if draft.why else plan.ANYWHERE
            plan.step("create", "vm", machine.name, gid=machine.gid, place=there)
            for copy in draft.copies:
                plan.step("create", "medium", copy.medium.name, gid=machine.gid)
            plan.warns(draft.warnings)

        def frees() -> None:
            plan.consumes(machine.gid, vars(NOTHING - rules.amount([machine.spec])))
            for copy in draft.copies:
                copy.reservation.frees()

        try:
            return await self._tasks.begin(caller, KIND, machine.gid, machine.name, machine.uuid, work, frees, prepare)
        except BaseException:
            await whole(held.aclose())
            raise

    async def _draft(self, caller: Caller, request: CloneVm, held: AsyncExitStack) -> Draft:
        """Reserve everything for a clone. `held` releases it, unless the clone comes to exist."""
        self._directory.group(request.gid)
        keeper = self._source(caller, request.vmid)
        may_alter = self._directory.holds(caller.uid, Permission.VM_ALTER, keeper.gid)
        has = cloud_init.of_clone(keeper.machine.spec, secrets=may_alter)
        for mid in set(request.leave) - {one.mid for one in has.media}:
            raise Refused(Problem.MEDIUM_NOT_FOUND, f"{keeper.called} has no medium {mid}", field="leave")
        if not request.fresh_firmware:
            keeper.passage.check_not_moving()
        if not request.fresh_firmware and not keeper.ended:
            raise Refused(
                Problem.VM_NOT_STOPPED,
                f"{keeper.called} is {keeper.state.value}: stop it first, or clone it with fresh firmware "
                "variables and without its disks",
                field="vmid",
            )
        mids = [mid for mid in self._fleet.builder.written(has) if mid not in request.leave]
        copies = await self._copies(caller, request, keeper.machine.name, mids, held)
        uuid = uuid4()
        placed = self._placed(caller, keeper, request, copies)
        spec, warnings = self._spec(caller, request, uuid, placed.host, has, dict(zip(mids, copies, strict=True)))
        if not may_alter:
            warnings += cloud_init.lost(keeper.machine.spec)
        machine = Machine(0, uuid, request.gid, request.name, spec, placed.host)
        draft = Draft(keeper, machine, copies, request.fresh_firmware, warnings, placed.why)
        with self._fleet.claims.taken(uuid, self._fleet.builder.claim(draft.machine, None)):
            held.callback(self._give_back, draft)
        return draft

    def _placed(self, caller: Caller, keeper: Keeper, request: CloneVm, copies: Sequence[Copy]) -> Placed:
        """Its host: as requested; otherwise the source's, if that is possible and its disks are to be there."""
        builder, spec = self._fleet.builder, keeper.machine.spec
        copied = {copy.source.mid for copy in copies}
        shared = [one for one in spec.media if one.mid not in request.leave and one.mid not in copied]
        media = builder.reach.pools(structs.replace(spec, media=shared))
        media |= {copy.medium.mpid: f"medium {copy.medium.name!r}" for copy in copies}
        beside = self._fleet.claims.neighbours(request.gid, spec)
        stays = None if beside.apart or beside.together else keeper.machine.host
        told = sees_hosts(self._directory)
        host = None if request.host is UNSET else request.host
        wanted = Wanted(spec, media, host, stays=stays, kept=True, beside=beside, told=told)
        return place(self._fleet.hosts.candidates(), wanted)

    def _pool_of_copy(self, request: CloneVm, source: Medium) -> int:
        """The pool for a copy: the requested one, or the source's; on another host its only pool."""
        if isinstance(request.mpid, int):
            return request.mpid
        hosts = self._fleet.hosts.attached
        if isinstance(request.host, UnsetType) or hosts.find(request.host) is None:
            return source.mpid
        there = hosts.pools_of(request.host)
        if source.mpid in there:
            return source.mpid
        if len(there) == 1:
            return there[0]
        raise Refused(
            Problem.POOL_NOT_FOUND,
            f"the pool of {self._library.visible_name(source)} is not on that host, which has "
            f"{'several' if there else 'none'}: name the pool of the copies",
            field="mpid",
        )

    def _source(self, caller: Caller, vmid: int) -> Keeper:
        """The source. One that the caller may not view is treated like a missing one."""
        keeper = self._fleet.find(vmid)
        if keeper is None or not self._directory.holds(caller.uid, Permission.VM_VIEW, keeper.gid):
            raise Refused(Problem.VM_NOT_FOUND, f"there is no VM {vmid}, or you may not see it", field="vmid")
        return keeper

    async def _copies(
        self, caller: Caller, request: CloneVm, name: str, mids: Sequence[UUID], held: AsyncExitStack
    ) -> list[Copy]:
        if mids and not self._directory.holds(caller.uid, Permission.MEDIA_CREATE, request.gid):
            raise Refused(
                Problem.NO_PERMISSION,
                f"copies of its disks need {Permission.MEDIA_CREATE.value} on "
                f"{self._directory.called(caller.uid, request.gid)}: ask someone who can assign it there, or leave the "
                "disks (`leave`)",
                field="leave",
            )
        media = [self._library.get(mid) for mid in mids]
        names = names_of_copies([one.name for one in media], name, request.name)
        return [
            await self._conversions.copy(
                caller,
                CloneMedium(mid=one.mid, gid=request.gid, mpid=self._pool_of_copy(request, one), name=called),
                held,
            )
            for one, called in zip(media, names, strict=True)
        ]

    def _spec(
        self, caller: Caller, request: CloneVm, uuid: UUID, host: HostId, has: Spec, copies: dict[UUID, Copy]
    ) -> tuple[Spec, list[str]]:
        """The clone's specification, with NICs of its own and without autostart; and warnings."""
        media = [one for one in has.media if one.mid not in request.leave]
        spec = structs.replace(
            has,
            media=[one for one in media if one.mid not in copies],
            nics=[structs.replace(one, id=UNSET, mac=UNSET) for one in has.nics],
            interfaces=(),
            last_nic=0,
            nat_places={},
            forwards=[],
            attached_by=UNSET,
            autostart=False,
        )
        networks = self._hypervisor.hosts.about(host).nat_networks
        spec = interfaces.assigned(uuid, spec, None, self._fleet.claims, networks)
        spec, warnings = self._checks.check_settings(caller, request.gid, uuid, spec, host)
        shared = iter(spec.media)
        mixed = [
            structs.replace(one, mid=copies[one.mid].medium.mid) if one.mid in copies else next(shared) for one in media
        ]
        return structs.replace(spec, media=mixed), warnings

    async def _make(self, caller: Caller, draft: Draft, progress: TaskProgress) -> int:
        """Make the clone. If that fails, nothing of it is left."""
        made: list[Medium] = []
        async with WhileAllowed(self._still_allowed(caller, draft)) as right:
            try:
                if not draft.fresh:
                    await self._carry_variables(draft)
                parts = _Parts(progress, [copy.size for copy in draft.copies])
                for number, copy in enumerate(draft.copies):
                    made.append(await self._conversions.fill(caller, copy, parts.part(number), right))
                return await whole(self._commit(caller, draft, made, right))
            except OutcomeUnknown:
                raise  # the next start asks the database
            except BaseException:
                if not draft.owned:
                    await whole(self._remove(draft, made))
                raise

    def _still_allowed(self, caller: Caller, draft: Draft) -> Check:
        check_holds = still_holds(self._directory, caller.uid, Permission.VM_CREATE, draft.machine.gid)

        def check() -> None:
            check_holds()
            for copy in draft.copies:
                copy.check()

        return check

    async def _carry_variables(self, draft: Draft) -> None:
        """Waits for a host that does not respond; the source is free meanwhile."""

        async def attempt() -> None:
            # if cancelled, it continues in the keeper, and would leave behind what is removed meanwhile
            await ended(asyncio.ensure_future(draft.source.alone(lambda: self._copy_variables(draft))))

        of, to, hosts = draft.source.machine.host, draft.machine.host, self._fleet.hosts.attached
        await reach(attempt, lambda: hosts.called_silent(of, to))

    async def _copy_variables(self, draft: Draft) -> None:
        keeper = draft.source
        if keeper.retired or not keeper.ended:
            raise Refused(Problem.VM_NOT_STOPPED, f"{keeper.called} was started or deleted meanwhile")
        of, to = (self._own_storage(one) for one in (keeper.machine, draft.machine))
        await copy_variables(of, keeper.machine.uuid, to, draft.machine.uuid)

    def _own_storage(self, machine: Machine) -> Storage:
        """The storage of its host, with its firmware variables. Raises `Refused`."""
        one = self._fleet.hosts.attached.find(machine.host)
        if one is None:
            raise Refused(Problem.NO_HOST, f"{self._fleet.hosts.attached.called(machine.host)} was removed meanwhile")
        return one.storage

    async def _commit(self, caller: Caller, draft: Draft, media: Sequence[Medium], right: WhileAllowed) -> int:
        """Commit all of it, then show it."""
        machine = replace(draft.machine, created=int(time.time()))
        with self._updates.under_way.of(machine.gid):
            self._directory.group(machine.gid)
            right.settle()
            try:
                vmid = await self._store.add(machine, media)
            except OutcomeUnknown:
                draft.owned = True
                raise
            draft.owned = True
            machine = replace(machine, vmid=vmid)
            self._creation.show(media)
            self._fleet.claims.put(machine.uuid, self._fleet.builder.claim(machine, None))
            self._fleet.add(self._fleet.hosts.keeper(machine, RunRecord()))
            self._fleet.noted(
                "create_vm",
                {"gid": machine.gid, "vmid": vmid, "cloned": draft.source.machine.vmid, "name": machine.name},
                machine.gid,
                caller.uid,
            )
        await self._creation.settle(media)
        return vmid

    async def _remove(self, draft: Draft, media: Sequence[Medium]) -> None:
        for medium in media:
            await self._creation.drop(medium)
        if not draft.fresh:
            await drop_variables(self._own_storage(draft.machine), draft.machine.uuid)
            await self._fleet.data.drop(draft.machine.host, draft.machine.uuid)

    def _give_back(self, draft: Draft) -> None:
        if not draft.owned:
            self._fleet.claims.drop(draft.machine.uuid)


class _Parts:
    """The progress of several parts; `sizes` count until a part reports its own."""

    def __init__(self, whole: TaskProgress, sizes: Sequence[int]) -> None:
        self._whole = whole
        self._parts = [TaskProgress(self._add) for _ in sizes]
        self._sizes = sizes
        self._add()

    def part(self, number: int) -> TaskProgress:
        return self._parts[number]

    def _add(self) -> None:
        self._whole.total = sum(part.total or size for part, size in zip(self._parts, self._sizes, strict=True))
        self._whole.done = sum(part.done for part in self._parts)


def made(library: Library, fleet: Fleet, uuid: UUID) -> Made:
    """What a task was to make or to move, if it exists."""
    if (mid := library.made(uuid)) is not None:
        return mid
    machines = (keeper.machine for keeper in fleet.all())
    return next((one.vmid for one in machines if uuid in (one.uuid, rules.move_task(one.uuid, one.host))), None)


def name_of_copy(medium: str, vm: str, clone: str) -> str:
    """The name for a copy of a disk: `web-disk` of `web` becomes `db-disk` of `db`, and `data` becomes `db-data`."""
    rest = medium[len(vm) :] if medium.startswith(vm) else f"-{medium}"
    return (clone[: max(1, NAME_LENGTH - len(rest))] + rest)[:NAME_LENGTH].strip()


def names_of_copies(media: Sequence[str], vm: str, clone: str) -> list[str]:
    """Distinct names: both `web-disk` and `disk` of `web` would become `db-disk`."""
    names: list[str] = []
    for medium in media:
        first = name = name_of_copy(medium, vm, clone)
        for number in range(2, len(media) + 1):
            if name not in names:
                break
            name = f"{first[: NAME_LENGTH - 4].strip()}-{number}"
        names.append(name)
    return names
