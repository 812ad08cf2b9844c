"""Moves VMs to other groups, running or not: with quotas and permissions on both sides, in one transaction."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

from msgspec import structs

from velocity import plan
from velocity.access.directory import Directory
from velocity.access.lasting import check_admitted
from velocity.access.sessions import Caller
from velocity.access.updates import DirectoryWriter
from velocity.contract.machines import State
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem, Refused
from velocity.contract.revision import check
from velocity.contract.vm_move import MoveVm
from velocity.machines.port import MachineStore
from velocity.machines.rules import Machine, Spec
from velocity.machines.run.keeper import Keeper
from velocity.machines.service import Fleet
from velocity.machines.settings.checks import Checks
from velocity.media.assignments import Assignments
from velocity.media.attachments import Attachments
from velocity.media.library import Library
from velocity.media.reservations import Reservations
from velocity.media.rules import Medium
from velocity.media.sources import Sources
from velocity.uninterrupted import whole

Disks = list[tuple[Medium, Medium]]
"""The disks that move with a VM: before and after."""


class GroupMoves:
    """Moves VMs, which keep their ids, names, addresses and runs."""

    def __init__(
        self,
        store: MachineStore,
        directory: Directory,
        updates: DirectoryWriter,
        fleet: Fleet,
        checks: Checks,
        library: Library,
        attachments: Attachments,
        assignments: Assignments,
        reservations: Reservations,
        sources: Sources,
    ) -> None:
        self._store = store
        self._directory = directory
        self._updates = updates
        self._fleet = fleet
        self._checks = checks
        self._library = library
        self._attachments = attachments
        self._assignments = assignments
        self._reservations = reservations
        self._sources = sources

    async def move(self, caller: Caller, request: MoveVm) -> tuple[Keeper, list[Medium], list[str]]:
        """Returns its keeper, the disks that moved with it, and warnings. Raises `Refused`."""
        keeper = self._fleet.get(request.vmid)
        disks, warnings = await keeper.alone(lambda: self._move(caller, keeper, request))
        return keeper, disks, warnings

    async def _move(self, caller: Caller, keeper: Keeper, request: MoveVm) -> tuple[list[Medium], list[str]]:
        old, gid = keeper.machine, request.gid
        if keeper.retired:
            raise Refused(Problem.VM_NOT_FOUND, f"there is no VM {old.vmid}", field="vmid")
        check_admitted()
        check(request.revision, old.revision)
        disks = self._disks(old, gid) if request.disks else []
        self._check_rights(caller, old, gid, disks)
        if gid == old.gid:
            return [], []
        self._check_visible(old, gid, disks)
        spec, warnings = self._attached(caller, gid, old.spec, disks)
        new = replace(old, gid=gid, spec=spec)
        with ExitStack() as stack:
            for disk, _ in disks:
                stack.enter_context(self._sources.changing(disk, "being changed", alone=False))
            kept = [stack.enter_context(self._reservations.change(*both)) for both in disks]
            stack.enter_context(self._fleet.claiming.becoming(keeper, new))
            self._tell(keeper, gid, disks)
            plan.warns(warnings)
            plan.stop_here()
            await whole(self._keep(caller, keeper, new, disks))
            for keep in kept:
                keep()
        return [medium for _, medium in disks], warnings

    def _disks(self, machine: Machine, gid: int) -> Disks:
        media = [self._library.get(mid) for mid in self._fleet.builder.disks(machine)]
        return [(one, replace(one, gid=gid)) for one in media]

    def _check_rights(self, caller: Caller, machine: Machine, gid: int, disks: Disks) -> None:
        """First the permissions on the new group (0 if it does not exist, as everywhere), then whether it exists."""
        holds, there = self._directory.holds, self._directory.existing(gid)
        needed = [(Permission.VM_CREATE, there, "gid")]
        if disks:
            needed += [(Permission.MEDIA_REMOVE, machine.gid, "disks"), (Permission.MEDIA_CREATE, there, "gid")]
        for permission, place, field in needed:
            if not holds(caller.uid, permission, place):
                raise Refused(
                    Problem.NO_PERMISSION,
                    f"you need {permission.value} on {self._directory.called(caller.uid, place)}: ask someone who can "
                    "assign it there (`velocity why`, POST /u/why, lists them)",
                    field=field,
                )
        self._directory.group(gid)
        if gid == machine.gid:
            return
        for disk, _ in disks:
            self._assignments.check_managed(caller, gid, disk.mpid)
        self._checks.check_trust(caller, gid, machine)

    def _check_visible(self, machine: Machine, gid: int, disks: Disks) -> None:
        """Members of the new group must be able to see its media, and no other VM may use its disks."""
        moves = {disk.mid for disk, _ in disks}
        line = self._directory.line(gid)
        for medium in self._media(machine):
            mine = self._library.visible_name(medium)
            if medium.mid not in moves and medium.gid not in line:
                raise Refused(
                    Problem.MEDIUM_ATTACHED,
                    f"{mine} is attached to it, and belongs neither to the new group nor to one above: detach it "
                    "first, or move it there",
                    field="gid",
                )
            for holder in self._attachments.attached_vms(medium.mid) if medium.mid in moves else ():
                if holder.vmid != machine.vmid and holder.gid != gid:
                    raise Refused(
                        Problem.MEDIUM_ATTACHED,
                        f"{mine} would move with it, and is attached to {self._attachments.visible_name(holder)}, too: "
                        "detach it there first, or leave the disks where they are (`disks`: false)",
                        field="disks",
                    )

    def _media(self, machine: Machine) -> list[Medium]:
        """The media attached to it, and those of its run."""
        found = [self._library.find(mid) for mid in self._fleet.claims.media(machine.uuid)]
        return sorted((one for one in found if one is not None), key=lambda one: one.name)

    def _attached(self, caller: Caller, gid: int, spec: Spec, disks: Disks) -> tuple[Spec, list[str]]:
        """Its attachments; media of other groups become read-only unless the caller may have them written to from the
        new group.
        """
        moves = {disk.mid for disk, _ in disks}
        rest = structs.replace(spec, media=[one for one in spec.media if one.mid not in moves])
        rest, warnings = self._fleet.builder.writers.attached(caller, gid, rest, None)
        others = iter(rest.media)
        media = [one if one.mid in moves else next(others) for one in spec.media]
        for old, new in disks:
            if self._assignments.readonly(new) and not self._assignments.readonly(old):
                name = self._library.visible_name(old)
                warnings.append(f"{name} is read-only from its next start on: its new group may not write to the pool")
        return structs.replace(spec, media=media, attached_by=rest.attached_by), warnings

    def _tell(self, keeper: Keeper, gid: int, disks: Disks) -> None:
        vm, runs = keeper.machine, keeper.state is not State.STOPPED
        changes: dict[str, tuple[object, object] | None] = {"gid": (vm.gid, gid)}
        live: tuple[list[str], dict[str, str]] = (["gid"] if runs else [], {})
        plan.step("change", "vm", vm.name, id=vm.vmid, gid=vm.gid, changes=changes, live=live)
        for disk, _ in disks:
            plan.step("change", "medium", disk.name, id=disk.mid, gid=disk.gid, changes=changes, live=live)

    async def _keep(self, caller: Caller, keeper: Keeper, new: Machine, disks: Disks) -> None:
        """Commit and show it, in turn with deletions of groups, so that it is deleted with its present group."""
        async with self._updates.changing:
            check_admitted()
            self._directory.group(keeper.gid)  # otherwise it is deleted with the group
            self._check_rights(caller, keeper.machine, new.gid, disks)
            await self._store.move(new.vmid, new.gid, new.spec, [disk.mid for disk, _ in disks])
            for _, disk in disks:
                self._library.add(disk)
            self._fleet.remove(keeper)
            keeper.machine = new
            self._fleet.add(keeper)
