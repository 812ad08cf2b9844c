"""One pool of this host, and all of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from velocity.contract.problems import Problem, Refused
from velocity.storage.directory.files import PoolFiles
from velocity.storage.directory.host_pool import HostFiles
from velocity.storage.directory.identity import HostIdentity, Identity, SharedIdentity
from velocity.storage.directory.places import HostPlaces, Places
from velocity.storage.directory.presence import Presence
from velocity.storage.directory.threads import AT_ONCE, Threads
from velocity.storage.port import Unknown
from velocity.storage.rbd.files import RbdFiles
from velocity.storage.rbd.identity import RbdIdentity
from velocity.storage.rbd.places import RbdPlaces
from velocity.storage.rbd.presence import RbdPresence

AGAIN = 5.0
"""Seconds until the next attempt at what a file system has refused."""


class PoolDirectory:
    """One pool."""

    def __init__(self, places: Places, again: float) -> None:
        self.places = places
        self.files, self.presence = _kept_in(places)
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


def _kept_in(places: Places) -> tuple[PoolFiles, Presence]:
    if isinstance(places, RbdPlaces):
        rbd = RbdIdentity(places)
        images = RbdFiles(places, rbd)
        return images, RbdPresence(places, rbd, images)
    identity, files = _in_a_directory(places)
    return files, Presence(places, identity, files)


def _in_a_directory(places: Places) -> tuple[Identity, PoolFiles]:
    if isinstance(places, HostPlaces):
        host = HostIdentity(places)
        return host, HostFiles(places, host)
    identity = SharedIdentity(places) if places.shared else Identity(places)
    return identity, PoolFiles(places, identity)


class PoolDirectories:
    """The pools of this host, by mpid."""

    def __init__(self, places: Sequence[Places], again: float) -> None:
        self._pools = {one.mpid: PoolDirectory(one, again) for one in places}

    def find(self, mpid: int) -> PoolDirectory | None:
        return self._pools.get(mpid)

    def get(self, mpid: int) -> PoolDirectory:
        """Raises `Refused`."""
        if (found := self.find(mpid)) is None:
            raise Refused(Problem.MEDIUM_NOT_FOUND, "the medium's pool is no longer declared", field="mid")
        return found

    async def close(self) -> None:
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))
