"""Which group may do what in which pool."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from msgspec import UnsetType

from velocity import plan
from velocity.access.directory import Directory
from velocity.access.lasting import check_admitted
from velocity.access.rules import ROOT_GROUP
from velocity.access.sessions import Caller
from velocity.changes import Changes
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem, Refused
from velocity.contract.revision import check, revision
from velocity.media import rules
from velocity.media.port import MediaStore
from velocity.media.rules import Assignment, Medium, Pool


class Assignments:
    """What is assigned to groups, by (gid, mpid); it applies to subgroups too (`rules.assigned`)."""

    def __init__(self, store: MediaStore, pools: Mapping[int, Pool], directory: Directory, changes: Changes) -> None:
        self._store = store
        self._pools = pools
        self._directory = directory
        self._changes = changes
        self._assignments: dict[tuple[int, int], Assignment] = {}
        self._changing = asyncio.Lock()

    def load(self) -> None:
        self._assignments = dict(self._store.load_assignments())

    def of(self, gid: int, mpid: int) -> Assignment | None:
        """What a group may do in the pool; None: it does not see the pool."""
        return rules.assigned(self._assignments, self._directory.line(gid), mpid)

    def own(self, gid: int, mpid: int) -> Assignment | None:
        """The group's own assignment; None if it has none."""
        return self._assignments.get((gid, mpid))

    def revision(self, gid: int, mpid: int) -> str:
        """The revision of the group's own assignment."""
        return revision(gid, mpid, self.own(gid, mpid))

    def readonly(self, medium: Medium) -> bool:
        """Whether writing is blocked: by the medium, or because its group lacks `write` on the pool."""
        assignment = self.of(medium.gid, medium.mpid)
        return medium.readonly or assignment is None or not assignment.write

    def check_managed(self, caller: Caller, gid: int, mpid: int) -> None:
        """Raises `Refused` unless the group may create media in the pool."""
        self._directory.group(gid)
        self._check_exists(caller, Permission.MEDIA_CREATE, mpid)
        assignment = self.of(gid, mpid)
        if assignment is None or not assignment.manage or mpid not in self._pools:
            raise Refused(
                Problem.POOL_NOT_MANAGED,
                f"{self._directory.path(gid)} may not manage media in pool {mpid}: ask an administrator to "
                "assign the pool to the group with `manage`",
                field="mpid",
            )

    async def assign(self, caller: Caller, gid: int, mpid: int, wanted: Assignment, named: str | UnsetType) -> None:
        """Set or update. Nobody can pass on what the parent group lacks, or give a group more from within it.

        Group 0 has everything, so any assignment to it changes nothing.
        """
        async with self._changing:
            check_admitted()
            exists = self._check_exists(caller, Permission.POOL_ASSIGN, mpid)
            parent = self._directory.groups[self._directory.existing(gid)].parent_gid
            missing = rules.more_than(wanted, self.of(parent, mpid) if exists else None, mpid)
            if missing:
                raise Refused(
                    Problem.NO_PERMISSION,
                    f"the parent of {self._directory.called(caller.uid, gid)} does not have {missing}, and cannot "
                    "pass it on",
                )
            self._check_gain(caller, gid, mpid, wanted)
            self._directory.group(gid)
            if gid == ROOT_GROUP and wanted != self.of(gid, mpid):
                raise Refused(
                    Problem.POOL_OF_ROOT,
                    "group 0 always has every pool with write and manage, and no quota: nothing else can be assigned",
                    field="gid",
                )
            check(named, self.revision(gid, mpid))
            if gid == ROOT_GROUP:
                return
            before = self.own(gid, mpid)
            changes = {name: (before and getattr(before, name), value) for name, value in vars(wanted).items()}
            plan.step("assign", "pool", self._pools[mpid].name, id=mpid, gid=gid, changes=changes)
            try:
                await self._store.assign(gid, mpid, wanted)
            finally:
                self._directory.line(gid)  # raises if it was deleted meanwhile
            self._assignments[gid, mpid] = wanted
            self._changes.note_change("assignment", (gid, mpid), gid)

    async def revoke(self, caller: Caller, gid: int, mpid: int, named: str | UnsetType) -> None:
        """Media of the group in the pool stay."""
        async with self._changing:
            check_admitted()
            if mpid not in self._pools and not self._directory.holds(caller.uid, Permission.POOL_REVOKE, ROOT_GROUP):
                raise Refused(Problem.NO_PERMISSION, f"pool {mpid} is not assigned to a group of yours")
            self._directory.group(gid)
            if (gid, mpid) not in self._assignments:
                raise Refused(
                    Problem.POOL_NOT_FOUND,
                    f"pool {mpid} is not assigned to {self._directory.path(gid)} itself",
                    field="mpid",
                )
            parent = self._directory.groups[gid].parent_gid
            inherited = None if parent == ROOT_GROUP else self.of(parent, mpid)
            if inherited is not None:
                self._check_gain(caller, gid, mpid, inherited)
            check(named, self.revision(gid, mpid))
            pool = self._pools.get(mpid)
            plan.step("revoke", "pool", pool.name if pool else "", id=mpid, gid=gid)
            await self._store.unassign(gid, mpid)
            self._assignments.pop((gid, mpid), None)  # its group may have been deleted meanwhile
            self._changes.note_change("assignment", (gid, mpid), gid)

    def _check_gain(self, caller: Caller, gid: int, mpid: int, wanted: Assignment) -> None:
        """Only those who may assign to the parent can give a group more. Raises `Refused(NO_PERMISSION)`."""
        existing = self._directory.existing(gid)
        gained = rules.gained(wanted, self.own(gid, mpid), self.of(existing, mpid), mpid)
        parent = self._directory.groups[existing].parent_gid
        if gained is not None and not self._directory.holds(caller.uid, Permission.POOL_ASSIGN, parent):
            raise Refused(
                Problem.NO_PERMISSION,
                f"{self._directory.called(caller.uid, gid)} would gain {gained}: this needs "
                "velocity.pool.assign on its parent",
            )

    @contextmanager
    def returning(self, assignments: Mapping[tuple[int, int], Assignment]) -> Iterator[None]:
        """Within, assignments are restored with their groups; an exception undoes it."""
        self._assignments.update(assignments)
        try:
            yield
        except BaseException:
            for key in assignments:
                self._assignments.pop(key, None)
            raise

    def forget(self, gids: Collection[int]) -> None:
        """The groups were deleted."""
        self._assignments = {key: one for key, one in self._assignments.items() if key[0] not in gids}

    def _check_exists(self, caller: Caller, permission: Permission, mpid: int) -> bool:
        """Whether there is such a pool. Raises `Refused` if not, for those who hold the permission on group 0."""
        if mpid not in self._pools and self._directory.holds(caller.uid, permission, ROOT_GROUP):
            raise Refused(
                Problem.POOL_NOT_FOUND,
                f"there is no media pool {mpid} (`velocity pool list`, POST /m/pool/list, lists them)",
                field="mpid",
            )
        return mpid in self._pools
