"""Creates, changes, deletes and restores VMs, alone or with their group."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import msgspec
from msgspec import UNSET, UnsetType

from velocity import plan
from velocity.access.directory import Directory
from velocity.access.naming import sees_hosts, visible_name
from velocity.access.port import PendingDeletion
from velocity.access.rules import NOTHING, Discarded
from velocity.access.sessions import Caller
from velocity.access.updates import DirectoryWriter
from velocity.contract.cloud_init import CloudInit
from velocity.contract.machines import AlterVm, CreateVm, DeleteVm, State, VmSettings
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem, Refused
from velocity.contract.revision import check
from velocity.contract.settings import settings_of
from velocity.hypervisor.port import HostId, Hypervisor
from velocity.machines import rules
from velocity.machines.changes.deletion import PendingVmDeletion, check_stopped
from velocity.machines.hosts import where
from velocity.machines.placement.rules import Placed, Wanted, place
from velocity.machines.port import MachineStore
from velocity.machines.rules import Machine, RunRecord, Spec
from velocity.machines.run.keeper import Keeper
from velocity.machines.service import Fleet
from velocity.machines.settings import cloud_init, disks, interfaces
from velocity.machines.settings.checks import Checks
from velocity.machines.settings.forecast import forecast
from velocity.media.deletion import Deletion, plan_to_remove
from velocity.media.rules import Medium


async def _merged(has: CloudInit | UnsetType, request: CreateVm | AlterVm) -> dict[str, Any]:
    """The settings after the request, including those for cloud-init. Raises `Refused`."""
    given = settings_of(VmSettings, request)
    if "cloud_init" in given:
        wanted = given["cloud_init"] = cloud_init.changed(has, given["cloud_init"])
        if wanted is not UNSET:
            await asyncio.to_thread(cloud_init.check, wanted)
    return given


class Provisioning:
    """Creates, changes and deletes VMs: checks, claims, commits, then shows them in the fleet."""

    def __init__(
        self,
        store: MachineStore,
        directory: Directory,
        updates: DirectoryWriter,
        fleet: Fleet,
        checks: Checks,
        hypervisor: Hypervisor,
        media: Deletion,
        forget: Callable[[Machine], Awaitable[None]],
    ) -> None:
        """`forget` removes the data outside the database of a machine that is removed permanently."""
        self._store = store
        self._directory = directory
        self._updates = updates
        self._fleet = fleet
        self._checks = checks
        self._hypervisor = hypervisor
        self._media = media
        self._forget = forget

    async def create(self, caller: Caller, request: CreateVm) -> tuple[int, list[str]]:
        """Returns its vmid, and warnings."""
        settings = await _merged(UNSET, request)
        self._directory.group(request.gid)
        hosts = self._fleet.hosts.attached
        any_host = request.host is UNSET and not hosts.many
        placed = Placed(hosts.own.host) if any_host else self._placed(caller, request, settings)
        facts = self._hypervisor.hosts.about(placed.host)
        spec = cloud_init.with_instance(Spec(**settings, **rules.newest(facts)), None)
        uuid = uuid4()
        spec = interfaces.assigned(uuid, spec, None, self._fleet.claims, facts.nat_networks)
        spec, warnings = self._checks.check_settings(caller, request.gid, uuid, spec, placed.host)
        draft = Machine(0, uuid, request.gid, request.name, spec, placed.host, int(time.time()))
        with self._fleet.claims.taken(draft.uuid, self._fleet.builder.claim(draft, None)):
            rules.check_display_names(spec.displays)
            interfaces.check_macs(spec)
            there = (where.of_machine(self._fleet.hosts.attached, draft), placed.why) if placed.why else plan.ANYWHERE
            plan.step("create", "vm", draft.name, gid=draft.gid, place=there)
            plan.warns(warnings)
            with self._updates.under_way.of(draft.gid):
                self._directory.group(draft.gid)
                machine = replace(draft, vmid=await self._store.add(draft))
                self._fleet.add(self._fleet.hosts.keeper(machine, RunRecord()))
        return machine.vmid, warnings

    def _placed(self, caller: Caller, request: CreateVm, settings: dict[str, Any]) -> Placed:
        """Choose its host, in the step in which its memory there is claimed."""
        spec = Spec(**settings, machine_type="", firmware="")
        pools = self._fleet.builder.reach.pools(spec, seen_by=(caller, request.gid))
        host = None if request.host is UNSET else request.host
        beside = self._fleet.claims.neighbours(request.gid, spec)
        told = sees_hosts(self._directory)
        return place(self._fleet.hosts.candidates(), Wanted(spec, pools, host, beside=beside, told=told))

    async def alter(self, caller: Caller, request: AlterVm) -> tuple[Keeper, list[str]]:
        """Returns its keeper, and warnings."""
        keeper = self._fleet.get(request.vmid)
        return keeper, await keeper.alone(lambda: self._alter(caller, keeper, request))

    async def _alter(self, caller: Caller, keeper: Keeper, request: AlterVm) -> list[str]:
        old = keeper.machine
        if keeper.retired:
            raise Refused(Problem.VM_NOT_FOUND, f"there is no VM {old.vmid}", field="vmid")
        settings = await _merged(old.spec.cloud_init, request)
        facts = self._hypervisor.hosts.about(old.host)
        taken = rules.taken_from_host(old.spec, request, facts)
        spec = msgspec.structs.replace(old.spec, **settings, **taken)
        spec = cloud_init.with_instance(spec, old.spec, new=request.new_instance is True)
        name = request.name if isinstance(request.name, str) else old.name
        spec = disks.with_sectors(spec, old.spec)
        if "drives" not in settings and spec.media is not old.spec.media:
            spec = disks.with_drives(spec, old.spec, self._fleet.builder.is_iso)
        spec = interfaces.assigned(old.uuid, spec, old.spec, self._fleet.claims, facts.nat_networks)
        spec, warnings = self._checks.check_settings(caller, old.gid, old.uuid, spec, old.host, old.spec, old.vmid)
        warnings += rules.noticed(old.spec, spec, facts)
        machine = replace(old, name=name, spec=spec)
        with self._fleet.claiming.becoming(keeper, machine):
            rules.check_display_names(spec.displays)
            interfaces.check_macs(spec)
            check(request.revision, old.revision)
            changes, live = rules.changes(old, machine), forecast(spec, keeper.progress.run, facts)
            plan.step("change", "vm", old.name, id=old.vmid, gid=old.gid, changes=changes, live=live)
            plan.warns([*warnings, *self._fleet.builder.limited_at_once(spec, keeper.progress.run)])
            await self._store.alter(old.vmid, name, spec)
            keeper.machine = machine
        return [*warnings, *await self._fleet.live.carry_out(keeper)]

    def claim_again(self, mid: UUID) -> None:
        """Claim again for the VMs of a medium, as the permission to write to it has changed."""
        for keeper in self._fleet.all():
            if mid in self._fleet.claims.media(keeper.machine.uuid):
                self._fleet.claiming.again(keeper.machine.uuid)

    async def delete(self, caller: Caller, request: DeleteVm, *, purge: bool) -> None:
        """Delete it into the trash or permanently, with its disks if requested: completely, or not at all."""
        keeper = self._fleet.get(request.vmid)
        await keeper.alone(lambda: self._delete(caller, keeper, request, purge))

    async def _delete(self, caller: Caller, keeper: Keeper, request: DeleteVm, purge: bool) -> None:
        vmid = keeper.machine.vmid
        self._check_left(keeper, request)
        disks = await self._disks(caller, keeper, request.leave) if request.disks else []
        self._fleet.get(vmid)
        if not keeper.ended:
            words = f"{keeper.called} is {keeper.state.value}: stop it first"
            raise Refused(Problem.VM_NOT_STOPPED, words, field="vmid")
        check(request.revision, keeper.machine.revision)
        self._plan_to_remove(keeper, purge=purge)
        for disk in disks:
            plan_to_remove(disk, purge=purge)
        if disks:
            plan.also({"disks": (len(disks), 0)})
        plan.stop_here()
        with self._updates.under_way.of(keeper.gid):
            deletions = await self._withdraw(caller, keeper, disks, purge=purge)
            for deletion in deletions:
                deletion.committed()
        if not purge:
            self._updates.discarded("vm", keeper.gid)
        for deletion in deletions:
            await deletion.finish(purge=purge)

    async def _withdraw(
        self, caller: Caller, keeper: Keeper, disks: Sequence[Medium], *, purge: bool
    ) -> Sequence[PendingDeletion]:
        """Commit the deletion. After a failure, everything is as before."""
        vm, machine = PendingVmDeletion(self._directory, self._fleet, self._forget), keeper.machine
        vm.take(keeper)
        deletions: list[PendingDeletion] = [vm]
        try:
            deletions.append(await self._media.withdraw(disks))
            size = sum(disk.size for disk in disks)
            discarded = Discarded("vm", str(machine.vmid), machine.gid, machine.name, caller.uid, size)
            await self._store.remove(machine.vmid, None if purge else discarded, [disk.mid for disk in disks])
        except BaseException:
            for deletion in reversed(deletions):
                await deletion.restore()
            raise
        return deletions

    def _check_left(self, keeper: Keeper, request: DeleteVm) -> None:
        for mid in set(request.leave) - {one.mid for one in keeper.machine.spec.media}:
            raise Refused(Problem.MEDIUM_NOT_FOUND, f"{keeper.called} has no medium {mid}", field="leave")

    async def _disks(self, caller: Caller, keeper: Keeper, left: Collection[UUID]) -> list[Medium]:
        """The disks that are deleted with it, without those to keep. Raises `Refused`."""
        builder = self._fleet.builder
        disks = await self._media.disks(
            keeper.machine.vmid, lambda: [mid for mid in builder.disks(keeper.machine) if mid not in left]
        )
        if disks and not self._directory.holds(caller.uid, Permission.MEDIA_REMOVE, keeper.gid):
            raise Refused(
                Problem.NO_PERMISSION,
                f"deleting the disks of the VM needs {Permission.MEDIA_REMOVE.value} on its group: ask someone who "
                "can assign it there, or delete the VM without its disks",
                field="disks",
            )
        return disks

    @contextlib.contextmanager
    def returning(
        self, caller: Caller, machines: Sequence[tuple[Machine, RunRecord]], host: int | None
    ) -> Iterator[Mapping[int, HostId]]:
        """Restore VMs from the trash, with names, quota and media claimed. An exception inside undoes it.

        `host`: the host for VMs (by vmid) whose own is gone.
        """
        back = [(self._somewhere(caller, machine, host), progress) for machine, progress in machines]
        elsewhere = {
            new.vmid: new.host for (new, _), (old, _) in zip(back, machines, strict=True) if new.host != old.host
        }
        with contextlib.ExitStack() as undo:
            for machine, _ in back:
                there = where.of_machine(self._fleet.hosts.attached, machine)
                placed = (there, "its own is no more") if machine.vmid in elsewhere else plan.ANYWHERE
                plan.step("restore", "vm", machine.name, id=machine.vmid, gid=machine.gid, place=placed)
                self._fleet.builder.check_disks(machine.spec)
                undo.enter_context(self._fleet.claims.taken(machine.uuid, self._fleet.builder.claim(machine, None)))
            yield elsewhere
            for machine, progress in back:
                self._fleet.add(self._fleet.hosts.keeper(machine, replace(progress, wanted=State.STOPPED, run=None)))

    async def bring_variables(
        self, machines: Sequence[tuple[Machine, RunRecord]], elsewhere: Mapping[int, HostId]
    ) -> None:
        """Bring copies of their firmware variables to the hosts where they are restored. Raises `Refused`."""
        try:
            for machine, _ in machines:
                if machine.vmid in elsewhere:
                    plan.stop_here()
                    await self._fleet.variables.bring(machine, elsewhere[machine.vmid])
        except Refused as refused:
            vm = self._fleet.builder.vm_called(machine)
            words = f"the firmware variables of {vm} cannot be brought there: {refused.message}"
            raise Refused(Problem.UNAVAILABLE, words) from None

    def _somewhere(self, caller: Caller, machine: Machine, host: int | None) -> Machine:
        """Its own host or, if that is gone, the requested one. Raises `Refused`."""
        hosts, reach = self._fleet.hosts, self._fleet.builder.reach
        if host is None or reach.stays(machine.host):
            reach.check_there(machine, host, self._fleet.builder.vm_called(machine))
            return machine
        told = sees_hosts(self._directory)
        wanted = Wanted(machine.spec, reach.pools(machine.spec), host, kept=True, told=told)
        return replace(machine, host=place(hosts.candidates(), wanted).host)

    def _plan_to_remove(self, keeper: Keeper, *, purge: bool) -> None:
        machine = keeper.machine
        plan.step("purge" if purge else "delete", "vm", machine.name, id=machine.vmid, gid=machine.gid)
        freed = NOTHING - self._fleet.builder.claim(machine, keeper.progress.run).amount
        plan.consumes(machine.gid, vars(freed))

    def examine(self, gids: Collection[int], *, force: bool, purge: bool) -> None:
        """Implements `velocity.access.port.GroupContents`: without force, no VM of the groups may run."""
        for one in self._fleet.unreadable:
            if one.gid in gids:
                vm = visible_name(self._directory, "VM", one.name, one.gid)
                raise Refused(Problem.GROUP_BUSY, f"{vm} of it cannot be loaded: see the server's log", field="gid")
        for keeper in self._fleet.of_groups(gids):
            if not force:
                check_stopped(self._directory, keeper)
            elif keeper.state is not State.STOPPED:
                plan.step("kill", "vm", keeper.machine.name, id=keeper.machine.vmid, gid=keeper.machine.gid)
            self._plan_to_remove(keeper, purge=purge)

    async def begin_deletion(self, gids: Collection[int], *, force: bool) -> PendingVmDeletion:
        """Implements `velocity.access.port.GroupContents`: deletes the VMs of these groups."""
        await self._updates.under_way.ended(gids)
        deletion = PendingVmDeletion(self._directory, self._fleet, self._forget)
        await deletion.end(self._fleet.of_groups(gids), force=force)
        return deletion
