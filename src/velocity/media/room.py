"""Space in pools: whether there is enough for a request, and which trash is removed to make room."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from velocity import plan, sizes
from velocity.contract.problems import Problem, Refused
from velocity.media.rules import CALL_DEADLINE
from velocity.media.states import PoolStates
from velocity.storage.port import Pools, Trash

SHORT = 64 << 20
"""A pool with fewer bytes free is short of space."""

MakeRoom = Callable[[int, int, int], Awaitable[None]]
"""Removes the oldest items from the trash, first those of the group: gid, mpid, and the bytes that must be free."""
Trim = Callable[[Collection[tuple[int, int]]], Awaitable[None]]
"""Removes what groups have in the trash beyond their quotas, by (gid, mpid)."""


class Room:
    """The space in all pools."""

    def __init__(self, pools: Pools, trash: Trash, states: PoolStates, make: MakeRoom, trim: Trim) -> None:
        self._pools = pools
        self._trash = trash
        self._states = states
        self._make = make
        self._trim = trim

    async def find(self, gid: int, mpid: int, size: int) -> None:
        """Make room in the pool for a medium whose quota and name are reserved.

        The trash of its group goes first, then that of its ancestors. Raises `Refused(POOL_QUOTA)`, without touching
        the trash, if all of it would not suffice. A plan is told what would be removed.
        """
        free = await self.check(mpid, size)
        if size <= free:
            return
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

    async def check(self, mpid: int, size: int) -> int:
        """The bytes that are free. Raises `Refused(POOL_QUOTA)` where that many would not be, without all the trash."""
        free = await self._free(mpid)
        if size > free:
            _check(size, free + await self._trash.held(mpid, None, deadline=CALL_DEADLINE))
        return free

    async def relieve(self, places: Collection[tuple[int, int]]) -> None:
        """Pools that are short of space keep no trash: removes it in the pools of these media, by (gid, mpid)."""
        for mpid, gid in {mpid: gid for gid, mpid in places}.items():
            if self._states.has(mpid) and await self._free(mpid) < SHORT:
                await self._make(gid, mpid, SHORT)

    async def limit_trash(self, places: Collection[tuple[int, int]]) -> None:
        """After media of these (gid, mpid) went into the trash: remove the excess there."""
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
