"""One pool of this host, and all of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from velocity.contract.problems import Problem, Refused
from velocity.storage.directory.files import PoolFiles
from velocity.storage.directory.places import HostPlaces, Places
from velocity.storage.directory.presence import Presence
from velocity.storage.directory.threads import AT_ONCE, Threads
from velocity.storage.port import Unknown

AGAIN = 5.0
"""Seconds until the next attempt at what a file system has refused."""


class PoolDirectory:
    """One pool. What the file system refuses is tried again every `again` seconds."""

    def __init__(self, places: Places, files: PoolFiles, presence: Presence, again: float = AGAIN) -> None:
        self.places = places
        self.files = files
        self.presence = presence
        self.threads = Threads(places.name, 1 if isinstance(places, HostPlaces) else AT_ONCE)
        self._again = again
        self._retrying: asyncio.Task[None] | None = None

    def retry(self) -> None:
        """Repeat what was refused, until nothing is left to do."""
        if self._has_left and (self._retrying is None or self._retrying.done()):
            self._retrying = asyncio.create_task(self._retry())

    @property
    def _has_left(self) -> bool:
        return self.files.left or self.files.openings.unswept

    async def _retry(self) -> None:
        while self._has_left:
            await asyncio.sleep(self._again)
            with contextlib.suppress(Unknown):
                await self.threads.do(self._again, self.files.finish_what_is_left)
            await self.threads.run(self.files.openings.sweep)

    async def close(self) -> None:
        if self._retrying is not None:
            self._retrying.cancel()
            await asyncio.wait({self._retrying})
        await self.threads.close()
        await asyncio.to_thread(self.files.openings.close)
        self.presence.close()


class PoolDirectories:
    """The pools of this host, by mpid."""

    def __init__(self, pools: Sequence[PoolDirectory]) -> None:
        self._pools = {one.places.mpid: one for one in pools}

    def find(self, mpid: int) -> PoolDirectory | None:
        return self._pools.get(mpid)

    def get(self, mpid: int) -> PoolDirectory:
        """Raises `Refused`."""
        if (found := self.find(mpid)) is None:
            raise Refused(Problem.MEDIUM_NOT_FOUND, "the medium's pool is no longer declared", field="mid")
        return found

    async def close(self) -> None:
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))
