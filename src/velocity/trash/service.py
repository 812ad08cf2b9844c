"""The use cases of the trash: list, restore, remove for good."""

from __future__ import annotations

from contextlib import AsyncExitStack, nullcontext
from dataclasses import replace

from velocity import plan
from velocity.access.directory import Directory
from velocity.access.groups import Groups
from velocity.access.sessions import Caller
from velocity.access.updates import DirectoryWriter
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem, Refused
from velocity.contract.trash import ListTrash
from velocity.machines.changes.provisioning import Provisioning
from velocity.media.assignments import Assignments
from velocity.media.restoration import Restoration
from velocity.trash.port import Contents, Item, TrashStore
from velocity.trash.purging import Purging

NEEDED = {"vm": Permission.VM_REMOVE, "medium": Permission.MEDIA_REMOVE, "group": Permission.GROUP_REMOVE}
"""What deleting it needed, on the group that it belonged to (a group: its parent); of a VM with disks both."""


class Trash:
    """What was deleted."""

    def __init__(
        self,
        store: TrashStore,
        directory: Directory,
        updates: DirectoryWriter,
        groups: Groups,
        assignments: Assignments,
        restoration: Restoration,
        provisioning: Provisioning,
        purging: Purging,
    ) -> None:
        self._store = store
        self._directory = directory
        self._updates = updates
        self._groups = groups
        self._assignments = assignments
        self._restoration = restoration
        self._provisioning = provisioning
        self._purging = purging

    async def seen_by(self, caller: Caller, request: ListTrash) -> list[Item]:
        """What the caller could have deleted; the newest first."""
        items = await self._store.items()
        may = {kind: self._directory.holding(caller.uid, permission) for kind, permission in NEEDED.items()}
        seen = request.page(
            items, lambda item: item.trid, lambda item: all(may[kind](item.what.gid) for kind in _kinds(item))
        )
        disks = await self._store.disks([item.trid for item in seen if item.what.kind == "vm" and item.what.size])
        return [replace(item, disks=disks.get(item.trid, ())) for item in seen]

    async def restore(self, caller: Caller, trid: int, host: int | None = None) -> Item:
        """Restore it with its id, name and quota. `host`: the host for VMs whose own is gone.

        Raises `Refused`, and has changed nothing then.
        """
        item, contents = await self._find(caller, trid)
        with nullcontext() if plan.is_plan() else self._purging.taking(trid):
            item, contents = await self._find(caller, trid)  # somebody may have taken it out meanwhile
            try:
                await self._restore(caller, item, contents, host)
            except Refused as refused:
                if refused.problem in (Problem.GROUP_NOT_FOUND, Problem.MEDIUM_NOT_FOUND):
                    await self._check_not_needed(caller, item, contents, refused)
                raise
        self._updates.discarded(item.what.kind, item.what.gid)
        return item

    async def _restore(self, caller: Caller, item: Item, contents: Contents, host: int | None) -> None:
        async with AsyncExitStack() as undo:
            if contents.groups:
                for group in contents.groups:
                    plan.step("restore", "group", group.name, id=group.gid)
                returning = self._groups.returning(contents.groups, contents.limits, contents.grants)
                await undo.enter_async_context(returning)
                undo.enter_context(self._assignments.returning(contents.assignments))
            else:
                undo.enter_context(self._updates.under_way.of(item.what.gid))
                self._directory.group(item.what.gid)
            await undo.enter_async_context(self._restoration.returning(contents.media))
            elsewhere = undo.enter_context(self._provisioning.returning(caller, contents.machines, host))
            await self._provisioning.bring_variables(contents.machines, elsewhere)
            await self._store.restore(item.trid, elsewhere)

    async def _check_not_needed(self, caller: Caller, item: Item, contents: Contents, refused: Refused) -> None:
        """Raises `Refused` with what goes first, if that is in the trash as well, for all that the caller may see."""
        needed = {("group", str(item.what.gid))}
        needed |= {("medium", str(one.mid)) for machine, _ in contents.machines for one in machine.spec.media}
        for one in await self._store.items():
            if (one.what.kind, one.what.id) in needed and self.may(caller, one):
                raise Refused(
                    refused.problem,
                    f"{one.what.kind} {one.what.name!r}, which it needs, is in the trash as well: restore item "
                    f"{one.trid} first",
                    field="trid",
                )

    async def purge(self, caller: Caller, trid: int) -> None:
        item, contents = await self._find(caller, trid)
        plan_to_purge(contents)
        plan.also({"item": (item.what, None)})
        if not await self._purging.purge(item, contents):
            await self._find(caller, trid)  # which says that it is gone

    def may(self, caller: Caller, item: Item) -> bool:
        return all(self._directory.holds(caller.uid, NEEDED[kind], item.what.gid) for kind in _kinds(item))

    async def _find(self, caller: Caller, trid: int) -> tuple[Item, Contents]:
        """A missing item is answered like an item of somebody else, except to those who may see everything."""
        item = next((one for one in await self._store.items() if one.trid == trid), None)
        contents = None if item is None else await self._store.contents(trid)
        if item is None or contents is None:
            if self._directory.holds(caller.uid, Permission.GROUP_REMOVE, 0):
                raise Refused(Problem.TRASH_NOT_FOUND, f"there is no item {trid} in the trash", field="trid")
        elif self.may(caller, item):
            return item, contents
        raise Refused(
            Problem.NO_PERMISSION,
            f"you have no item {trid} in the trash (`velocity trash list`, POST /t/trash/list, lists your items)",
        )


def _kinds(item: Item) -> tuple[str, ...]:
    """What it is, and what went with it."""
    return ("vm", "medium") if item.what.kind == "vm" and item.what.size else (item.what.kind,)


def plan_to_purge(contents: Contents) -> None:
    """Tell a plan what goes with one item."""
    for group in contents.groups:
        plan.step("purge", "group", group.name, id=group.gid)
    for medium in contents.media:
        plan.step("purge", "medium", medium.name, id=medium.mid, gid=medium.gid)
    for machine, _ in contents.machines:
        plan.step("purge", "vm", machine.name, id=machine.vmid, gid=machine.gid)
