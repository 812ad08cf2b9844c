"""The storage of all hosts: each call goes to the host of its pool, or to one of those that share it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from velocity.contract.media import Content
from velocity.storage import patience as waits
from velocity.storage.patience import Patience
from velocity.storage.port import (
    Belongs,
    Blobs,
    Incoming,
    MediaFiles,
    MediaRef,
    Outgoing,
    Pools,
    PoolState,
    Space,
    Storage,
    Unknown,
)
from velocity.storage.resumed import ResumedIncoming, ResumedOutgoing
from velocity.storage.routed_jobs import RoutedJobs
from velocity.storage.routed_trash import RoutedTrash
from velocity.storage.ways import Part, Survey, Ways

AGAIN = 2.0
"""Seconds until a host that did not respond is sent again where an object belongs."""
SETTLE = 10.0
"""Seconds to wait until a host has heard that an unfinished object is not wanted any more."""


@dataclass(frozen=True)
class RoutedStorage(Storage):
    """The storage of the hosts known at the moment of each call; `ways` are the connections."""

    ways: Ways
    transfers: RoutedJobs
    settling: RoutedTrash

    async def close(self) -> None:
        await self.settling.close()
        await self.transfers.close()
        await asyncio.gather(*(one.close() for one in self.ways.all()))


def routed(
    ways: Ways,
    survey: Survey,
    files: MediaFiles,
    again: float = AGAIN,
    patience: float = waits.PATIENCE,
    term: Callable[[], int] = lambda: 0,
) -> RoutedStorage:
    """`files` are our own host's; `term` is the server's. `patience`: seconds that tasks and transfers wait for a
    host.
    """
    pools = cast(Pools, Part(ways, "pools"))
    waiting = Patience(ways, pools, patience, min(again, waits.AGAIN))
    trash = RoutedTrash(ways, waiting, again)
    blobs = cast(Blobs, RoutedBlobs(ways, cast(Blobs, Part(ways, "blobs", trash.doubt)), trash, waiting))
    jobs = RoutedJobs(ways, trash, blobs, waiting)
    return RoutedStorage(
        pools=cast(Pools, RoutedPools(ways, survey, pools, trash, waiting, term)),
        blobs=blobs,
        trash=trash,
        jobs=jobs,
        files=files,
        ways=ways,
        transfers=jobs,
        settling=trash,
    )


class RoutedPools:
    """Implements `velocity.storage.port.Pools`. Objects on their way to a pool are not taken for leftovers.

    A shared pool is cleaned up once, by the first host that opens it, before anybody uses it; later, unknown objects
    may be another host's.
    """

    def __init__(
        self, ways: Ways, survey: Survey, pools: Pools, trash: RoutedTrash, patience: Patience, term: Callable[[], int]
    ) -> None:
        self._ways = ways
        self._survey = survey
        self._pools = pools
        self._trash = trash
        self._patience = patience
        self._term = term
        self._turns: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._in_order: set[int] = set()

    def __getattr__(self, call: str) -> Any:
        return getattr(self._pools, call)

    async def space(self, pool: int, *, deadline: float) -> Space:
        return await self._patience.ask(pool, lambda: self._pools.space(pool, deadline=deadline))

    async def open(
        self,
        pool: int,
        kept: tuple[MediaRef, ...],
        trashed: tuple[MediaRef, ...],
        coming: tuple[MediaRef, ...],
        *,
        tidy: bool = True,
        term: int = 0,
        deadline: float,
    ) -> PoolState:
        coming += tuple(ref for ref in self._trash.hidden if ref.pool == pool)
        if not self._ways.is_shared(pool):
            return await self._pools.open(pool, kept, trashed, coming, tidy=tidy, deadline=deadline)
        async with self._turns[pool]:
            await self._survey(pool)  # otherwise a host without the mount might make the pool anew
            tidy &= pool not in self._in_order
            term = term or self._term()
            for host in self._ways.openers(pool):
                storage = self._ways.storage_on(host)
                now = await storage.pools.open(pool, kept, trashed, coming, tidy=tidy, term=term, deadline=deadline)
                if now.state != "away":
                    break
            if now.state in ("online", "full"):
                self._in_order.add(pool)
            await self._survey(pool)
        return now

    async def close(self) -> None:
        """Each host's storage is closed separately."""


class RoutedBlobs:
    """Implements `velocity.storage.port.Blobs`. Transfers with other hosts continue after interruptions.

    Except into a shared pool: another host could continue an object to which the first one still writes.
    """

    def __init__(self, ways: Ways, blobs: Blobs, trash: RoutedTrash, patience: Patience) -> None:
        self._ways = ways
        self._blobs = blobs
        self._trash = trash
        self._patience = patience

    def __getattr__(self, call: str) -> Any:
        return getattr(self._blobs, call)

    async def create(self, ref: MediaRef, size: int, *, deadline: float) -> None:
        async def attempt() -> None:
            with self._trash.begun(ref):
                await self._blobs.create(ref, size, deadline=deadline)

        await self._patience.ask(ref.pool, attempt)

    async def put(self, ref: MediaRef, *, deadline: float) -> Incoming:
        async def attempt() -> Incoming:
            with self._trash.begun(ref):
                return await self._blobs.put(ref, deadline=deadline)

        return self._coming(ref, await self._patience.ask(ref.pool, attempt))

    async def resume(self, ref: MediaRef, size: int, *, deadline: float) -> Incoming:
        if self._ways.is_shared(ref.pool) and (silent := self._ways.silent_of(ref.pool)):
            raise Unknown(
                f"{silent}, and may still be writing to it: wait until it does, or send it from the beginning"
            )
        opened = await self._blobs.resume(ref, size, deadline=deadline)
        if self._ways.called_if_other(ref.pool):
            self._trash.hidden.add(ref)
        return self._coming(ref, opened, size)

    def _coming(self, ref: MediaRef, opened: Incoming, size: int = 0) -> Incoming:
        if not self._ways.called_if_other(ref.pool):
            return opened
        if self._ways.is_shared(ref.pool):
            return cast(Incoming, Coming(opened, ref, self._trash, self._ways.host_of(ref.pool)))
        return ResumedIncoming(self._patience, self._blobs, self._trash, ref, opened, size)

    async def get(self, ref: MediaRef, *, deadline: float) -> Outgoing:
        opened = await self._patience.ask(ref.pool, lambda: self._blobs.get(ref, deadline=deadline))
        if not self._ways.called_if_other(ref.pool):
            return opened
        return ResumedOutgoing(self._patience, self._blobs, ref, opened)


class Coming:
    """An object that is being received in a shared pool. If it is closed early, it belongs nowhere, even if its host is
    lost by then.

    No host removes leftovers there by itself.
    """

    def __init__(self, opened: Incoming, ref: MediaRef, trash: RoutedTrash, host: int) -> None:
        self._trash = trash
        self._host = host
        self._opened = opened
        self._ref = ref
        self._stays = False

    def __getattr__(self, call: str) -> Any:
        return getattr(self._opened, call)

    async def finish(self) -> Content:
        content = await self._opened.finish()
        self._stays = True
        return content

    async def leave(self) -> None:
        self._stays = True  # even if the response is lost, what was received can be continued
        await self._opened.leave()

    async def close(self) -> None:
        await self._opened.close()
        if not self._stays:
            self._trash.doubt(self._ref, self._host)
            await self._trash.settle(self._ref, Belongs.NOWHERE, deadline=SETTLE)
