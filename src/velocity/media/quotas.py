"""How many bytes the media of each group declare in each pool, and how many they may."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from velocity import plan, sizes
from velocity.access.directory import Directory
from velocity.access.rules import ROOT_GROUP
from velocity.changes import Changes
from velocity.contract.problems import Problem, Refused
from velocity.media.assignments import Assignments
from velocity.media.rules import Assignment, Pool


class PoolQuotas:
    """Declared bytes, counted for a group and all its ancestors; all their quotas must have room."""

    def __init__(
        self, pools: Mapping[int, Pool], directory: Directory, changes: Changes, assignments: Assignments
    ) -> None:
        self._pools = pools
        self._directory = directory
        self._changes = changes
        self._assignments = assignments
        self._used: dict[tuple[int, int], int] = {}

    def used(self, gid: int, mpid: int) -> int:
        """Bytes that the media of the group and all below it may grow to in the pool."""
        return self._used.get((gid, mpid), 0)

    def all_used(self) -> dict[tuple[int, int], int]:
        """The same for all groups and pools, by (gid, mpid)."""
        return dict(self._used)

    def left(self, gid: int, mpid: int) -> int | None:
        """Bytes that the group may still use; None: there is no quota."""
        quotas = [(self.quota(one, mpid), self.used(one, mpid)) for one in self._directory.line(gid)]
        return min((max(0, quota - used) for quota, used in quotas if quota), default=None)

    def account(self, gid: int) -> list[tuple[Assignment | None, int]]:
        """The group's own assignments and what it uses, by pool."""
        return [(self._assignments.own(gid, mpid), self.used(gid, mpid)) for mpid in self._pools]

    def take(self, line: Sequence[int], mpid: int, size: int) -> None:
        """Count bytes for a group and its ancestors, if all quotas have room."""
        for ancestor in line:
            quota, used = self.quota(ancestor, mpid), self.used(ancestor, mpid)
            if quota and used + size > quota:
                raise self._full(line[0], ancestor, mpid, max(0, quota - used), size)
            if ancestor == ROOT_GROUP and used + size > sizes.LARGEST:
                raise Refused(
                    Problem.POOL_QUOTA,
                    f"the media of a pool can have {sizes.size(sizes.LARGEST)} in all: choose a smaller size",
                    field="size",
                )
        self.count(line, mpid, size)

    def count(self, line: Sequence[int], mpid: int, size: int) -> None:
        """Count bytes, or release them, regardless of quotas."""
        plan.consumes(line[0], {"bytes": size}, mpid=mpid)
        for ancestor in line:
            if ancestor in self._directory.groups:
                self._used[ancestor, mpid] = self.used(ancestor, mpid) + size
                self._changes.note_change("pool", ancestor, ancestor)

    def declared(self, mpid: int) -> int:
        """Bytes that all media in the pool may grow to."""
        return self.used(ROOT_GROUP, mpid)

    def forget(self, gids: Collection[int]) -> None:
        """The groups were deleted."""
        self._used = {key: used for key, used in self._used.items() if key[0] not in gids}

    def quota(self, gid: int, mpid: int) -> int:
        """The quota in the group's own assignment; 0: no limit."""
        assignment = self._assignments.own(gid, mpid)
        return assignment.quota if assignment else 0

    def _full(self, gid: int, ancestor: int, mpid: int, left: int, wanted: int) -> Refused:
        whose = self._directory.whose(ancestor, gid)
        pool = self._pools[mpid].name if mpid in self._pools else mpid
        quota = sizes.size(self.quota(ancestor, mpid))
        return Refused(
            Problem.POOL_QUOTA,
            f"the quota of {whose} in pool {pool} is {quota}, with {sizes.size(left)} left; this needs "
            f"{sizes.size(wanted)} more: remove media, choose a smaller size, or ask for more quota",
            field="size",
        )
