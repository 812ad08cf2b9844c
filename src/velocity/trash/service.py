"""The use cases of the trash: list, restore, remove for good; by age, on demand, and when a pool runs short."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

from velocity import plan
from velocity.access.service import Access
from velocity.access.sessions import Caller
from velocity.access.updates import Updates
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem, Refused
from velocity.machines.provisioning import Provisioning
from velocity.media.service import Library
from velocity.storage.port import Belongs
from velocity.trash.port import Contents, Item, TrashStore

log = logging.getLogger(__name__)

NEEDED = {"vm": Permission.VM_REMOVE, "medium": Permission.MEDIA_REMOVE, "group": Permission.GROUP_REMOVE}
"""What deleting it needed, on the group that it belonged to (a group: its parent)."""
LOOK = 3600.0
"""Seconds between two looks for what is too old."""


class Trash:
    """What was deleted. `kept` is for how many seconds; 0: there is no trash."""

    def __init__(
        self,
        store: TrashStore,
        access: Access,
        updates: Updates,
        library: Library,
        provisioning: Provisioning,
        kept: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._access = access
        self._updates = updates
        self._library = library
        self._provisioning = provisioning
        self.kept = kept
        self.clock = clock
        self._changing = asyncio.Lock()
        self._sweeping: asyncio.Task[None] | None = None
        library.room.made_by(self.make_room)

    def open(self) -> None:
        self._sweeping = asyncio.create_task(self._sweep_ever())

    async def close(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait({self._sweeping})

    async def seen_by(self, caller: Caller) -> list[Item]:
        """What the caller could have deleted himself; the newest first."""
        items = await self._store.items()
        may = {kind: self._access.holding(caller.uid, permission) for kind, permission in NEEDED.items()}
        return [item for item in items if may[item.what.kind](item.what.gid)]

    def expires(self, item: Item) -> int:
        """When it is removed for good, in unix seconds."""
        return item.deleted + self.kept

    async def restore(self, caller: Caller, trid: int) -> Item:
        """With its id, its name and its quota. Raises `Refused`, and has changed nothing then."""
        async with self._changing:
            item, contents = await self._find(caller, trid)
            async with AsyncExitStack() as undo:
                if contents.groups:
                    for group in contents.groups:
                        plan.step("restore", "group", group.name, id=group.gid)
                    returning = self._access.groups.returning(contents.groups, contents.limits, contents.grants)
                    await undo.enter_async_context(returning)
                    undo.enter_context(self._library.pools.returning(contents.assignments))
                else:
                    self._access.group(item.what.gid)
                await undo.enter_async_context(self._library.returning(contents.media))
                undo.enter_context(self._provisioning.returning(contents.machines))
                await self._store.restore(trid)
        self._updates.discarded(item.what.kind, item.what.gid)
        return item

    async def purge(self, caller: Caller, trid: int) -> None:
        async with self._changing:
            item, contents = await self._find(caller, trid)
            for group in contents.groups:
                plan.step("purge", "group", group.name, id=group.gid)
            for medium in contents.media:
                plan.step("purge", "medium", medium.name, id=medium.mid, gid=medium.gid)
            for machine, _ in contents.machines:
                plan.step("purge", "vm", machine.name, id=machine.vmid, gid=machine.gid)
            await self._purge(item, contents)

    async def make_room(self, mpid: int, size: int) -> None:
        """Remove what is oldest until the pool has so many bytes free, or nothing is left to remove; not for a plan.

        What takes no bytes there stays.
        """
        if plan.wanted():
            return
        async with self._changing:
            room = self._library.room
            for item in reversed(await self._store.items()):
                if not self._library.pools.has(mpid) or await room.free(mpid) >= size:
                    return
                contents = await self._store.contents(item.trid)
                if contents is not None and await room.held(mpid, contents.media) > 0:
                    log.info("pool %d runs short: %s %r leaves the trash", mpid, item.what.kind, item.what.name)
                    await self._purge(item, contents)

    async def sweep(self) -> None:
        """Remove what is too old."""
        async with self._changing:
            now = self.clock()
            for item in await self._store.items():
                if self.expires(item) > now:
                    continue
                try:
                    if (contents := await self._store.contents(item.trid)) is not None:
                        await self._purge(item, contents)
                except ValueError as error:  # it stays, and holds up no other
                    log.warning("%s %r in the trash cannot be read: %s", item.what.kind, item.what.name, error)

    async def _sweep_ever(self) -> None:
        while True:
            with contextlib.suppress(Refused):  # the database does not answer: the next look will do
                await self.sweep()
            await asyncio.sleep(LOOK)

    async def _purge(self, item: Item, contents: Contents) -> None:
        await self._store.purge(item.trid)
        self._updates.untrash_groups([group.gid for group in contents.groups])
        self._updates.discarded(item.what.kind, item.what.gid)
        for medium in contents.media:
            await self._library.settle(medium, Belongs.NOWHERE)
        for machine, _ in contents.machines:
            await self._provisioning.forget(machine)

    def _may(self, caller: Caller, item: Item) -> bool:
        return self._access.holds(caller.uid, NEEDED[item.what.kind], item.what.gid)

    async def _find(self, caller: Caller, trid: int) -> tuple[Item, Contents]:
        """What is not there looks like what is another's, but to those who could see everything."""
        item = next((one for one in await self._store.items() if one.trid == trid), None)
        contents = None if item is None else await self._store.contents(trid)
        if item is None or contents is None:
            if self._access.holds(caller.uid, Permission.GROUP_REMOVE, 0):
                raise Refused(Problem.TRASH_NOT_FOUND, f"there is nothing numbered {trid} in the trash", field="trid")
        elif self._may(caller, item):
            return item, contents
        raise Refused(Problem.NO_PERMISSION, f"nothing numbered {trid} in the trash is yours: see POST /t/trash/list")
