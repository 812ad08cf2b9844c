"""The states of pools, as their storage reports: checked whenever one is used."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from velocity.contract.problems import Problem, Refused
from velocity.media.rules import CALL_DEADLINE, Medium
from velocity.storage.port import ONLINE, MediaRef, Pools, PoolState, Space, Unknown

LOOK = 10.0
"""Seconds after which a pool that has not answered is away."""

KnownObjects = tuple[tuple[MediaRef, ...], tuple[MediaRef, ...], tuple[MediaRef, ...]]
Known = Callable[[int], KnownObjects]
"""What the database knows of a pool's objects: kept, in the trash, and still coming. Called in a thread."""


class PoolStates:
    """Those of the declared pools, by their mpid. What is not declared passes every check."""

    def __init__(self, storage: Pools, mpids: Collection[int], known: Known) -> None:
        """`mpids` are those of our own host."""
        self._storage = storage
        self._own = tuple(mpids)
        self._last = dict.fromkeys(mpids, ONLINE)
        self._known = known

    async def open(self) -> None:
        """The first look: a pool that is away then is put in order when it comes. Never fails.

        Nobody waits for another host, which may be silent: a pool of its is looked at before it is used.
        """
        await asyncio.gather(*map(self.look, self._own))

    def put(self, mpid: int) -> None:
        """One that is declared now; whoever uses it looks at it first."""
        self._last.setdefault(mpid, ONLINE)

    def drop(self, mpid: int) -> None:
        self._last.pop(mpid, None)

    def has(self, mpid: int) -> bool:
        """Whether it is (still) declared."""
        return mpid in self._last

    def check_declared(self, medium: Medium) -> None:
        """Raises `Refused` when the medium's pool is no longer declared."""
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
        """Raises `Refused(POOL_AWAY)` unless the pool is there, and can be written to (`writes`)."""
        if mpid in self._last:
            await self.look(mpid)
            self.check_last(mpid, writes=writes)

    def check_last(self, mpid: int, *, writes: bool = True) -> None:
        """The same, by the last look."""
        last = self._last.get(mpid, ONLINE)
        if last.state == "away" or (writes and last.state == "readonly"):
            raise Refused(Problem.POOL_AWAY, last.message)

    async def check_room(self, mpid: int) -> None:
        """Raises `Refused(POOL_QUOTA)` where it is full."""
        now = await self.look(mpid)
        if now.state == "full":
            raise Refused(Problem.POOL_QUOTA, now.message)

    async def space(self, mpid: int) -> tuple[PoolState, Space]:
        """No bytes while it is away."""
        now = await self.look(mpid)
        if now.state != "away":
            try:
                return now, await self._storage.space(mpid, deadline=LOOK)
            except Refused:  # it went in this moment
                now = await self.look(mpid)
        return now, Space()

    async def spaces(self, mpids: Collection[int]) -> dict[int, tuple[PoolState, Space]]:
        return dict(zip(mpids, await asyncio.gather(*map(self.space, mpids)), strict=True))
