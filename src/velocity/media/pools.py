"""The declared pools, as shown to a group, and to administrators of hosts."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec import Struct

from velocity.access.directory import Directory
from velocity.contract.pools import ListPools
from velocity.media.assignments import Assignments
from velocity.media.library import Library
from velocity.media.quotas import PoolQuotas
from velocity.media.rules import Assignment, Pool
from velocity.media.states import PoolStates
from velocity.media.usage import DiskUsage
from velocity.storage.port import PoolState, Space


class PoolUse(Struct, frozen=True):
    """A pool as a group sees it; `used`, `free` and `left` are in bytes; `left` None: there is no quota.

    `own` is the group's own assignment; None if it has none.
    """

    pool: Pool
    now: PoolState
    assignment: Assignment
    own: Assignment | None
    used: int
    free: int
    left: int | None
    revision: str


class Occupancy(Struct, frozen=True):
    """How full a pool is, in bytes. `size` and `free` are those of its storage, 0 while it is away.

    `declared` is what its media may grow to, including unfinished ones; `allocated` is what they use on disk.
    """

    pool: Pool
    now: PoolState
    size: int
    free: int
    declared: int
    allocated: int


class Pools:
    """The declared pools, examined for each answer."""

    def __init__(
        self,
        pools: Mapping[int, Pool],
        states: PoolStates,
        directory: Directory,
        assignments: Assignments,
        quotas: PoolQuotas,
        library: Library,
        usage: DiskUsage,
    ) -> None:
        self._pools = pools
        self._states = states
        self._directory = directory
        self._assignments = assignments
        self._quotas = quotas
        self._library = library
        self._usage = usage

    async def seen_by(self, request: ListPools) -> list[PoolUse]:
        """The pools that a group sees."""
        gid = request.gid
        found: dict[int, tuple[PoolState, Space]] = {}
        while not found.keys() >= set(mpids := self._assigned(request)):
            found |= await self._states.spaces([mpid for mpid in mpids if mpid not in found])
        seen = ((self._pools[mpid], self._assignments.of(gid, mpid)) for mpid in mpids)
        return [
            PoolUse(
                pool,
                found[pool.mpid][0],
                assignment,
                self._assignments.own(gid, pool.mpid),
                self._quotas.used(gid, pool.mpid),
                found[pool.mpid][1].free,
                self._quotas.left(gid, pool.mpid),
                self._assignments.revision(gid, pool.mpid),
            )
            for pool, assignment in seen
            if assignment is not None
        ]

    def _assigned(self, request: ListPools) -> list[int]:
        self._directory.group(request.gid)
        assigned = (mpid for mpid in sorted(self._pools) if self._assignments.of(request.gid, mpid) is not None)
        return request.page(assigned)

    async def occupied(self, mpids: Collection[int]) -> list[Occupancy]:
        """The usage of those among them that are declared."""
        declared = sorted(mpid for mpid in mpids if mpid in self._pools)
        media = [medium for medium in self._library.all() if medium.mpid in declared]
        allocated = await self._usage.measure(media)
        spaces = await self._states.spaces(declared)
        return [
            Occupancy(
                self._pools[mpid],
                now,
                space.size,
                space.free,
                self._quotas.declared(mpid),
                sum(allocated[medium.mid] for medium in media if medium.mpid == mpid),
            )
            for mpid, (now, space) in spaces.items()
        ]
