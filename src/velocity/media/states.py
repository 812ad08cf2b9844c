"""The states of pools, as their storage reports them: checked at each use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from velocity.contract.problems import Problem, Refused
from velocity.media.rules import CALL_DEADLINE, Medium
from velocity.storage.port import ONLINE, MediaRef, Pools, PoolState, Space, Unknown

LOOK = 10.0
"""Seconds after which a pool that does not respond counts as away."""

KnownObjects = tuple[tuple[MediaRef, ...], tuple[MediaRef, ...], tuple[MediaRef, ...]]
Known = Callable[[int], KnownObjects]
"""What the database knows of a pool's objects: kept, in the trash, and being received. Called in a thread."""


class PoolStates:
    """The states of declared pools, by mpid. Checks pass for pools that are not declared."""

    def __init__(self, storage: Pools, mpids: Collection[int], known: Known) -> None:
        """`mpids` are those of our own host."""
        self._storage = storage
        self._own = tuple(mpids)
        self._last = dict.fromkeys(mpids, ONLINE)
        self._known = known

    async def open(self) -> None:
        """Open the pools of our own host; one that is away is opened when it comes. Never fails.

        Pools of other hosts are opened when they are used, so that nobody waits for a silent host.
        """
        await asyncio.gather(*map(self.look, self._own))

    def put(self, mpid: int) -> None:
        """A pool was declared; it is opened when it is used."""
        self._last.setdefault(mpid, ONLINE)

    def drop(self, mpid: int) -> None:
        self._last.pop(mpid, None)

    def has(self, mpid: int) -> bool:
        """Whether it is (still) declared."""
        return mpid in self._last

    def check_declared(self, medium: Medium) -> None:
        """Raises `Refused` if the medium's pool is no longer declared."""
        if medium.mpid not in self._last:
            raise Refused(Problem.MEDIUM_NOT_FOUND, "the medium's pool is no longer declared", field="mid")

    async def look(self, mpid: int) -> PoolState:
        try:
            now = await self._storage.state(mpid, deadline=LOOK)
            if now is None:
                known = await asyncio.to_thread(self._known, mpid)
                now = await self._storage.open(mpid, *known, deadline=CALL_DEADLINE)
        except Unknown as unknown:
            now = PoolState("away", unknown.message)
        if mpid in self._last:
            self._last[mpid] = now
        return now

    async def check(self, mpid: int, *, writes: bool = True) -> None:
        """Raises `Refused(POOL_AWAY)` unless the pool is available; with `writes`, for writing."""
        if mpid in self._last:
            await self.look(mpid)
            self.check_last(mpid, writes=writes)

    def check_last(self, mpid: int, *, writes: bool = True) -> None:
        """The same, by its last known state."""
        last = self._last.get(mpid, ONLINE)
        if last.state == "away" or (writes and last.state == "readonly"):
            raise Refused(Problem.POOL_AWAY, last.message)

    async def check_room(self, mpid: int) -> None:
        """Raises `Refused(POOL_QUOTA)` if it is full."""
        now = await self.look(mpid)
        if now.state == "full":
            raise Refused(Problem.POOL_QUOTA, now.message)

    async def space(self, mpid: int) -> tuple[PoolState, Space]:
        """Zero while it is away."""
        now = await self.look(mpid)
        if now.state != "away":
            try:
                return now, await self._storage.space(mpid, deadline=LOOK)
            except Refused:  # it went away at this moment
                now = await self.look(mpid)
        return now, Space()

    async def spaces(self, mpids: Collection[int]) -> dict[int, tuple[PoolState, Space]]:
        return dict(zip(mpids, await asyncio.gather(*map(self.space, mpids)), strict=True))
