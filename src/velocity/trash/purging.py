"""What leaves the trash for good: on demand, by age, and the oldest when a pool runs short."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from functools import partial

from velocity import plan
from velocity.access.updates import DirectoryWriter
from velocity.contract.problems import Refused
from velocity.hypervisor.port import HostId, Hypervisor
from velocity.machines.orphans import remove_machine_data
from velocity.media.rules import CALL_DEADLINE
from velocity.media.states import PoolStates
from velocity.storage.port import Belongs, Pools, Trash
from velocity.trash.port import Contents, Item, TrashStore

log = logging.getLogger(__name__)

LOOK = 3600.0
"""Seconds between two looks for what is too old."""


class Purging:
    """Removes for good. Things stay in the trash for `kept` seconds; 0: there is no trash.

    Whoever takes something out of the trash holds `changing`.
    """

    def __init__(
        self,
        store: TrashStore,
        updates: DirectoryWriter,
        pools: Pools,
        trash: Trash,
        states: PoolStates,
        hypervisor: Hypervisor,
        *,
        host: HostId,
        kept: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._updates = updates
        self._pools = pools
        self._trash = trash
        self._states = states
        self._forget = partial(remove_machine_data, hypervisor, host)
        self.kept = kept
        self.clock = clock
        self.changing = asyncio.Lock()
        self._sweeping: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Look for what is too old, now and then."""
        self._sweeping = asyncio.create_task(self._sweep_ever())

    async def close(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait({self._sweeping})

    def expires(self, item: Item) -> int:
        """When it is removed for good, in unix seconds."""
        return item.deleted + self.kept

    async def purge(self, item: Item, contents: Contents) -> None:
        """Remove one thing."""
        await self._store.purge(item.trid)
        self._updates.untrash_groups([group.gid for group in contents.groups])
        self._updates.discarded(item.what.kind, item.what.gid)
        for medium in contents.media:
            await self._trash.settle(medium.ref, Belongs.NOWHERE, deadline=CALL_DEADLINE)
        for machine, _ in contents.machines:
            await self._forget(machine.uuid)

    async def make_room(self, mpid: int, size: int) -> None:
        """Remove what is oldest until the pool has so many bytes free, or nothing is left to remove; not for a plan.

        What takes no bytes there stays.
        """
        if plan.is_plan():
            return
        async with self.changing:
            for item in reversed(await self._store.items()):
                if not self._states.has(mpid) or await self._free(mpid) >= size:
                    return
                contents = await self._store.contents(item.trid)
                if contents is not None and await self._holds(mpid, contents) > 0:
                    log.info(
                        "pool %d is short of space: removing %s %r from the trash", mpid, item.what.kind, item.what.name
                    )
                    await self.purge(item, contents)

    async def _free(self, mpid: int) -> int:
        return (await self._pools.space(mpid, deadline=CALL_DEADLINE)).free

    async def _holds(self, mpid: int, contents: Contents) -> int:
        """Bytes of the pool that would be free without it."""
        refs = tuple(medium.ref for medium in contents.media if medium.mpid == mpid)
        return await self._trash.held(mpid, refs, deadline=CALL_DEADLINE)

    async def sweep(self) -> None:
        """Remove what is too old."""
        async with self.changing:
            now = self.clock()
            for item in await self._store.items():
                if self.expires(item) > now:
                    continue
                try:
                    if (contents := await self._store.contents(item.trid)) is not None:
                        await self.purge(item, contents)
                except ValueError as error:  # it stays, and holds up no other
                    log.warning("trash: %s %r cannot be read: %s", item.what.kind, item.what.name, error)

    async def _sweep_ever(self) -> None:
        while True:
            with contextlib.suppress(Refused):  # the database does not answer: the next look will do
                await self.sweep()
            await asyncio.sleep(LOOK)
