"""The pools of the host: which group may do what in them, and how many bytes its media declare there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from msgspec import UnsetType

from velocity import plan, sizes
from velocity.access.rules import ROOT_GROUP
from velocity.access.service import Access
from velocity.access.sessions import Caller
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem, Refused
from velocity.contract.revision import check, revision
from velocity.media import rules
from velocity.media.port import MediaStore
from velocity.media.rules import Assignment, Pool
from velocity.media.states import PoolStates
from velocity.storage.port import PoolState, Storage


@dataclass(frozen=True)
class PoolUse:
    """A pool as a group sees it; `used`, `free` and `left` in bytes, `left` None: no quota limits it.

    `own` is what is assigned to the group itself; None: nothing is.
    """

    pool: Pool
    now: PoolState
    assignment: Assignment
    own: Assignment | None
    used: int
    free: int
    left: int | None
    revision: str


class Pools:
    """Pools, their assignments to groups, and what is used of them."""

    def __init__(self, store: MediaStore, access: Access, pools: Sequence[Pool], storage: Storage) -> None:
        self._store = store
        self._access = access
        self._pools = {pool.mpid: pool for pool in pools}
        self.states = PoolStates(storage.pools, self._pools)
        self._assignments: dict[tuple[int, int], Assignment] = {}
        self._used: dict[tuple[int, int], int] = {}
        self._changing = asyncio.Lock()

    def load(self) -> None:
        self._assignments = dict(self._store.load_assignments())

    def all(self) -> list[Pool]:
        return [pool for _, pool in sorted(self._pools.items())]

    def has(self, mpid: int) -> bool:
        """Whether it is (still) declared."""
        return mpid in self._pools

    def declared(self, mpid: int) -> int:
        """Bytes that all media there may grow to."""
        return self._used.get((ROOT_GROUP, mpid), 0)

    def assignment(self, gid: int, mpid: int) -> Assignment | None:
        """What a group may do there; None: it does not see the pool."""
        return rules.assigned(self._assignments, self._access.line(gid), mpid)

    def used(self) -> dict[tuple[int, int], int]:
        """The bytes that each group uses in each pool, as (gid, mpid)."""
        return dict(self._used)

    def account(self, gid: int) -> list[tuple[Assignment | None, int]]:
        """What is assigned to the group itself, and what it uses, pool by pool."""
        return [(self._assignments.get((gid, mpid)), self._used.get((gid, mpid), 0)) for mpid in self._pools]

    async def seen_by(self, gid: int) -> list[PoolUse]:
        self._access.group(gid)
        found = await self.states.spaces([mpid for mpid in self._pools if self.assignment(gid, mpid) is not None])
        self._access.group(gid)  # it may have been deleted meanwhile
        seen = ((self._pools[mpid], self.assignment(gid, mpid)) for mpid in sorted(found))
        return [
            PoolUse(
                pool,
                found[pool.mpid][0],
                assignment,
                self._assignments.get((gid, pool.mpid)),
                self._used.get((gid, pool.mpid), 0),
                found[pool.mpid][1].free,
                self._left(gid, pool.mpid),
                self._revision(gid, pool.mpid),
            )
            for pool, assignment in seen
            if assignment is not None
        ]

    def check_managed(self, caller: Caller, gid: int, mpid: int) -> None:
        """Raises `Refused` unless the group may make media in the pool."""
        self._access.group(gid)
        self._check_exists(caller, Permission.MEDIA_CREATE, mpid)
        assignment = self.assignment(gid, mpid)
        if assignment is None or not assignment.manage or mpid not in self._pools:
            raise Refused(
                Problem.POOL_NOT_MANAGED,
                f"{self._access.directory.path(gid)} may not manage media in pool {mpid}: ask for the pool to be "
                "assigned to it with `manage`",
                field="mpid",
            )

    def _revision(self, gid: int, mpid: int) -> str:
        """Of what is assigned to the group itself."""
        return revision(gid, mpid, self._assignments.get((gid, mpid)))

    # Quota

    def take(self, line: Sequence[int], mpid: int, size: int) -> None:
        """Count bytes for a group and all above it, if every quota on the way holds them."""
        for ancestor in line:
            quota = self._quota(ancestor, mpid)
            used = self._used.get((ancestor, mpid), 0)
            if quota and used + size > quota:
                raise self._full(line[0], ancestor, mpid, max(0, quota - used), size)
        self.count(line, mpid, size)

    def _full(self, gid: int, ancestor: int, mpid: int, left: int, wanted: int) -> Refused:
        whose = self._access.directory.whose(ancestor, gid)
        pool = self._pools[mpid].name if mpid in self._pools else mpid
        quota = sizes.size(self._quota(ancestor, mpid))
        return Refused(
            Problem.POOL_QUOTA,
            f"the quota of {whose} in pool {pool} is {quota}, {sizes.size(left)} of it left, and this takes "
            f"{sizes.size(wanted)} more: remove media, ask for less, or for more quota",
            field="size",
        )

    def count(self, line: Sequence[int], mpid: int, size: int) -> None:
        """Count bytes, or give them back, whatever the quotas are."""
        plan.consumes(line[0], {"bytes": size}, mpid=mpid)
        for ancestor in line:
            if ancestor in self._access.directory.groups:
                self._used[ancestor, mpid] = self._used.get((ancestor, mpid), 0) + size
                self._access.changes.tell("pool", ancestor, ancestor)

    def _quota(self, gid: int, mpid: int) -> int:
        assignment = self._assignments.get((gid, mpid))
        return assignment.quota if assignment else 0

    def _left(self, gid: int, mpid: int) -> int | None:
        line = self._access.line(gid)
        quotas = [(self._quota(one, mpid), self._used.get((one, mpid), 0)) for one in line]
        return min((max(0, quota - used) for quota, used in quotas if quota), default=None)

    # Assigning

    async def assign(self, caller: Caller, gid: int, mpid: int, wanted: Assignment, named: str | UnsetType) -> None:
        """Set or update. Nobody passes on what the group's parent lacks, or gives a group more from within it."""
        async with self._changing:
            exists = self._check_exists(caller, Permission.POOL_ASSIGN, mpid)
            parent = self._access.directory.groups[self._access.directory.existing(gid)].parent_gid
            lacking = rules.more_than(wanted, self.assignment(parent, mpid) if exists else None)
            if lacking:
                raise Refused(
                    Problem.NO_PERMISSION,
                    f"the parent of {self._access.directory.called(caller.uid, gid)} has not {lacking} in pool {mpid} "
                    "and cannot pass it on",
                )
            self._check_gain(caller, gid, mpid, wanted)
            self._access.group(gid)
            if gid == ROOT_GROUP:
                raise Refused(Problem.POOL_OF_ROOT, "group 0 has every pool with write and manage", field="gid")
            check(named, self._revision(gid, mpid))
            before = self._assignments.get((gid, mpid))
            changes = {name: (before and getattr(before, name), value) for name, value in vars(wanted).items()}
            plan.step("assign", "pool", self._pools[mpid].name, id=mpid, gid=gid, changes=changes)
            await self._store.assign(gid, mpid, wanted)
            self._assignments[gid, mpid] = wanted
            self._access.changes.tell("assignment", (gid, mpid), gid)

    async def revoke(self, caller: Caller, gid: int, mpid: int, named: str | UnsetType) -> None:
        """Media that the group has there stay."""
        async with self._changing:
            if mpid not in self._pools and not self._access.holds(caller.uid, Permission.POOL_REVOKE, ROOT_GROUP):
                raise Refused(Problem.NO_PERMISSION, f"pool {mpid} is none of yours to take away")
            self._access.group(gid)
            if (gid, mpid) not in self._assignments:
                raise Refused(
                    Problem.POOL_NOT_FOUND,
                    f"pool {mpid} is not assigned to {self._access.directory.path(gid)} itself",
                    field="mpid",
                )
            parent = self._access.directory.groups[gid].parent_gid
            inherited = None if parent == ROOT_GROUP else self.assignment(parent, mpid)
            if inherited is not None:
                self._check_gain(caller, gid, mpid, inherited)
            check(named, self._revision(gid, mpid))
            pool = self._pools.get(mpid)
            plan.step("revoke", "pool", pool.name if pool else "", id=mpid, gid=gid)
            await self._store.unassign(gid, mpid)
            del self._assignments[gid, mpid]
            self._access.changes.tell("assignment", (gid, mpid), gid)

    def _check_gain(self, caller: Caller, gid: int, mpid: int, wanted: Assignment) -> None:
        """What a group gains is given by those who may assign above it. Raises `Refused(NO_PERMISSION)`."""
        existing = self._access.directory.existing(gid)
        gained = rules.gained(wanted, self._assignments.get((gid, mpid)), self.assignment(existing, mpid))
        parent = self._access.directory.groups[existing].parent_gid
        if gained is not None and not self._access.holds(caller.uid, Permission.POOL_ASSIGN, parent):
            raise Refused(
                Problem.NO_PERMISSION,
                f"{self._access.directory.called(caller.uid, gid)} would gain {gained} in pool {mpid}: its parent's "
                "velocity.pool.assign is needed for that",
            )

    @contextmanager
    def returning(self, assignments: Mapping[tuple[int, int], Assignment]) -> Iterator[None]:
        """Assignments that come back from the trash with their groups. What raises inside undoes it."""
        self._assignments.update(assignments)
        try:
            yield
        except BaseException:
            for key in assignments:
                self._assignments.pop(key, None)
            raise

    def forget(self, gid: int) -> None:
        """The group is no more."""
        self._assignments = {key: one for key, one in self._assignments.items() if key[0] != gid}
        self._used = {key: used for key, used in self._used.items() if key[0] != gid}

    def _check_exists(self, caller: Caller, permission: Permission, mpid: int) -> bool:
        """Whether there is such a pool; who holds the permission on group 0 is told at once that there is not."""
        if mpid not in self._pools and self._access.holds(caller.uid, permission, ROOT_GROUP):
            raise Refused(Problem.POOL_NOT_FOUND, f"there is no media pool {mpid}: see POST /m/pool/list", field="mpid")
        return mpid in self._pools


class Reservation:
    """Bytes of a pool that are taken before they are written. `line` is kept: the group may be gone by the end."""

    def __init__(self, pools: Pools, line: Sequence[int], mpid: int) -> None:
        self._pools = pools
        self._line = line
        self._mpid = mpid
        self.size = 0

    def frees(self) -> None:
        """Tell a plan what is free when it is given back."""
        plan.consumes(self._line[0], {"bytes": -self.size}, mpid=self._mpid)

    def take(self, size: int) -> None:
        """So many more. Raises `Refused(POOL_QUOTA)`."""
        self._pools.take(self._line, self._mpid, size)
        self.size += size

    def fit(self, size: int) -> None:
        """No more than these."""
        self._pools.count(self._line, self._mpid, size - self.size)
        self.size = size
