"""Permanent removal from the trash: on demand, by age, and the oldest items when space or a quota runs short."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager

from velocity import plan
from velocity.access import rules
from velocity.access.bounds import BOUNDS, Bounds
from velocity.access.directory import Directory
from velocity.access.updates import DirectoryWriter
from velocity.contract.problems import Problem, Refused
from velocity.machines.rules import Machine
from velocity.media.quotas import PoolQuotas
from velocity.media.rules import CALL_DEADLINE
from velocity.media.states import PoolStates
from velocity.steady_clock import SteadyClock
from velocity.storage.port import Belongs, Pools, Trash
from velocity.trash.port import Contents, Item, TrashStore

log = logging.getLogger(__name__)

EVERY = 60.0
"""Seconds between checks for items that are too old or too many."""


class Purging:
    """Removes items permanently. They stay in the trash for `kept` seconds; 0: there is no trash.

    A group may have as many VMs, media and subgroups there as it may have otherwise.

    Whoever takes something out of the trash is alone with that (`taking`). It may take as long as its pool does, and
    nobody waits for what is another pool's.
    """

    def __init__(
        self,
        store: TrashStore,
        directory: Directory,
        updates: DirectoryWriter,
        quotas: PoolQuotas,
        pools: Pools,
        trash: Trash,
        states: PoolStates,
        forget: Callable[[Machine], Awaitable[None]],
        steady: SteadyClock,
        *,
        kept: int,
        bounds: Bounds = BOUNDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._directory = directory
        self._updates = updates
        self._quotas = quotas
        self._pools = pools
        self._trash = trash
        self._states = states
        self._most = {"medium": bounds.group_media, "vm": bounds.group_vms, "group": bounds.group_subgroups}
        self._forget = forget
        self.kept = kept
        self.clock = clock
        self.steady = steady
        self._taken: set[int] = set()
        self._turns: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        """A lock for each pool: a request that waits for it then sees the room that others have made."""
        self._sweeping: asyncio.Task[None] | None = None

    def open(self, every: float = EVERY) -> None:
        """Remove expired items, so many seconds apart."""
        self._sweeping = asyncio.create_task(self._sweep_ever(every))

    async def close(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait({self._sweeping})

    def expires(self, item: Item) -> int:
        """When it is removed permanently, in Unix seconds."""
        return item.deleted + self.kept

    @contextmanager
    def taking(self, trid: int) -> Iterator[None]:
        """Within, nobody else takes it out of the trash. Raises `Refused` while somebody does."""
        if trid in self._taken:
            words = f"item {trid} is just being restored, or removed: try again in a moment"
            raise Refused(Problem.UNAVAILABLE, words)
        self._taken.add(trid)
        try:
            yield
        finally:
            self._taken.discard(trid)

    def is_taken(self, trid: int) -> bool:
        """Whether somebody is just taking it out."""
        return trid in self._taken

    async def purge(self, item: Item, contents: Contents) -> bool:
        """Remove one item; whether it was there. Raises `Refused` while somebody else takes it out."""
        with self.taking(item.trid):
            if not await self._store.purge(item.trid):
                return False
            self._updates.untrash_groups({group.gid for group in contents.groups})
            self._updates.discarded(item.what.kind, item.what.gid)
            for medium in contents.media:
                await self._trash.settle(medium.ref, Belongs.NOWHERE, deadline=CALL_DEADLINE)
            for machine, _ in contents.machines:
                await self._forget(machine)
        return True

    async def _purge(self, item: Item, contents: Contents) -> None:
        """What somebody else takes out meanwhile is theirs."""
        if item.trid not in self._taken:
            await self.purge(item, contents)

    async def make_room(self, gid: int, mpid: int, size: int) -> None:
        """Remove the oldest items until the pool has so many bytes free, or nothing is left; does nothing for a plan.

        Items of that group go first, then those of its parent, and so on up to the root. Items without bytes there
        stay.
        """
        if plan.is_plan():
            return
        async with self._turns[mpid]:
            away = self._distances(gid)
            for item in sorted(await self._store.items(), key=lambda one: (away(one.what.gid), one.trid)):
                if not self._states.has(mpid) or await self._free(mpid) >= size:
                    return
                contents = await self._contents(item)
                if contents is not None and await self._holds(mpid, contents) > 0:
                    log.info(
                        "pool %d is short of space: removing %s %r from the trash", mpid, item.what.kind, item.what.name
                    )
                    await self._purge(item, contents)

    def _distances(self, gid: int) -> Callable[[int], int]:
        """How many levels above that group the lowest common ancestor with another group is, by gid."""
        up = {one: steps for steps, one in enumerate(self._lineage(gid))}
        return lambda other: next(up[one] for one in self._lineage(other) if one in up)

    def _lineage(self, gid: int) -> list[int]:
        return rules.lineage(self._directory.groups, self._directory.above, gid)

    async def trim(self, places: Collection[tuple[int, int]]) -> None:
        """Limit what groups, with all below them, have in the trash of a pool to their quotas there.

        Called when something of these (gid, mpid) was deleted. That item stays, even if a quota was reduced below its
        size; the oldest of its own group goes first.
        """
        limited = [
            (gid, above, mpid, quota)
            for gid, mpid in {(self._highest_deleted(gid), mpid) for gid, mpid in places}
            for above in self._lineage(gid)
            if (quota := self._quotas.quota(above, mpid))
        ]
        if limited:
            await self._purge_lost()
        for own, above, mpid, quota in limited:
            async with self._turns[mpid]:
                await self._trim(own, above, mpid, quota)

    def _highest_deleted(self, gid: int) -> int:
        """The topmost group in the trash that contains this one; itself, if it is there."""
        above = self._directory.above
        while above.get(gid) in above:
            gid = above[gid]
        return gid

    async def _trim(self, own: int, gid: int, mpid: int, quota: int) -> None:
        within, away = self._distances(gid), self._distances(own)
        items = [item for item in await self._store.items() if item.what.size and not within(item.what.gid)]
        if sum(item.what.size for item in items) <= quota:
            return
        found: list[tuple[Item, Contents, int]] = []
        for item in items:
            if (contents := await self._contents(item)) is not None:
                size = sum(medium.size for medium in contents.media if medium.mpid == mpid)
                found += [(item, contents, size)] if size else []
        excess = sum(size for *_, size in found) - quota
        for item, contents, size in sorted(found[1:], key=lambda one: (away(one[0].what.gid), one[0].trid)):
            if excess <= 0:
                return
            log.info("the trash of group %d is over its quota: removing %s %r", gid, item.what.kind, item.what.name)
            await self._purge(item, contents)
            excess -= size

    async def _purge_lost(self) -> None:
        """Items of a permanently removed group: they cannot be restored, and count towards no quota."""
        for item in await self._store.items():
            if self._is_lost(item) and (contents := await self._contents(item)) is not None:
                await self._purge(item, contents)

    def _is_lost(self, item: Item) -> bool:
        return item.what.gid not in self._directory.groups and item.what.gid not in self._directory.above

    async def _contents(self, item: Item) -> Contents | None:
        """None if it is gone or cannot be read; then it stays, without delaying others."""
        try:
            return await self._store.contents(item.trid)
        except ValueError as error:
            log.warning("trash: %s %r cannot be read: %s", item.what.kind, item.what.name, error)
            return None

    async def _free(self, mpid: int) -> int:
        return (await self._pools.space(mpid, deadline=CALL_DEADLINE)).free

    async def _holds(self, mpid: int, contents: Contents) -> int:
        """Bytes of the pool that removing it would free."""
        refs = tuple(medium.ref for medium in contents.media if medium.mpid == mpid)
        return await self._trash.held(mpid, refs, deadline=CALL_DEADLINE)

    async def sweep(self, *, by_age: bool = True) -> None:
        """Remove expired items (`by_age`), those that cannot be restored, and the oldest of a group with too many."""
        await self._purge_lost()
        now, counts = self.clock(), Counter[tuple[str, int]]()
        for item in await self._store.items():
            kind, gid = item.what.kind, item.what.gid
            counts[kind, gid] += 1
            goes = (by_age and self.expires(item) <= now) or counts[kind, gid] > self._most[kind]
            if goes and (contents := await self._contents(item)) is not None:
                await self._purge(item, contents)

    async def look(self) -> None:
        """Sweep, by age if the clock tells that. Whatever fails, the next look is another try."""
        try:
            await self.sweep(by_age=self.steady.is_steady())
        except Refused as refused:
            log.info("the trash will be checked later: %s", refused.message)
        except Exception:
            log.exception("the trash could not be checked")

    async def _sweep_ever(self, every: float) -> None:
        while True:
            await self.look()
            await asyncio.sleep(every)
