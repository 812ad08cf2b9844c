"""Space in the pools: whether one has enough for a request, and what is removed from the trash for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from velocity import plan, sizes
from velocity.contract.problems import Problem, Refused
from velocity.media.rules import CALL_DEADLINE
from velocity.media.states import PoolStates
from velocity.storage.port import Pools, Trash

SHORT = 64 << 20
"""A pool with fewer bytes free runs short."""

MakeRoom = Callable[[int, int, int], Awaitable[None]]
"""Removes what is oldest in the trash, first what is of the group, by gid, mpid and the bytes that are to be free."""
Trim = Callable[[Collection[tuple[int, int]]], Awaitable[None]]
"""Removes what groups have in the trash beyond their quotas, by (gid, mpid)."""


class Room:
    """The room in all pools."""

    def __init__(self, pools: Pools, trash: Trash, states: PoolStates, make: MakeRoom, trim: Trim) -> None:
        self._pools = pools
        self._trash = trash
        self._states = states
        self._make = make
        self._trim = trim

    async def find(self, gid: int, mpid: int, size: int) -> None:
        """Have as many bytes free in the pool as a medium wants; its quota and its name are to be reserved before.

        The trash of its group goes first, then that of the groups next to it. Raises `Refused(POOL_QUOTA)`, and leaves
        the trash alone if all of it would not suffice. A plan is told what would go.
        """
        free = await self._free(mpid)
        if size <= free:
            return
        _check(size, free + await self._trash.held(mpid, None, deadline=CALL_DEADLINE))
        if plan.is_plan():
            plan.warns(
                [
                    f"the pool has {sizes.size(free)} free: the oldest items of its trash would be removed permanently "
                    "first, those of this group before others"
                ]
            )
            return
        await self._make(gid, mpid, size)
        _check(size, await self._free(mpid))

    async def relieve(self, places: Collection[tuple[int, int]]) -> None:
        """A pool that runs short keeps no trash: those of these media, by (gid, mpid)."""
        for mpid, gid in {mpid: gid for gid, mpid in places}.items():
            if self._states.has(mpid) and await self._free(mpid) < SHORT:
                await self._make(gid, mpid, SHORT)

    async def limit_trash(self, places: Collection[tuple[int, int]]) -> None:
        """After media of these, by (gid, mpid), went into the trash: what is too much there goes."""
        await self._trim(places)
        await self.relieve(places)

    async def _free(self, mpid: int) -> int:
        return (await self._pools.space(mpid, deadline=CALL_DEADLINE)).free


def _check(size: int, most: int) -> None:
    if size > most:
        raise Refused(
            Problem.POOL_QUOTA,
            f"{sizes.size(size)} is more than the {sizes.size(most)} free: remove media or use another pool",
        )
