"""The storage of all hosts: each call goes to the host of its pool, or to one of those that share it."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextvars import Context
from dataclasses import dataclass
from typing import Any, cast

from velocity.contract.media import Content
from velocity.contract.problems import Problem, Refused
from velocity.storage import resumed
from velocity.storage.port import (
    Belongs,
    Blobs,
    Clone,
    Incoming,
    Job,
    JobProgress,
    Made,
    MediaFiles,
    MediaRef,
    Outgoing,
    Pools,
    PoolState,
    Prepared,
    Storage,
    Unknown,
)
from velocity.storage.resumed import Patient, ResumedIncoming, ResumedOutgoing
from velocity.storage.transfer import Transfer
from velocity.storage.ways import Part, Survey, Ways, told_of

log = logging.getLogger(__name__)

AGAIN = 2.0
"""Seconds until a host that did not respond is told again where an object belongs."""
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
    patience: float = resumed.PATIENCE,
    term: Callable[[], int] = lambda: 0,
) -> RoutedStorage:
    """`files` are our own host's; `term` is the server's. `patience`: seconds that transfers wait for a host."""
    trash = RoutedTrash(ways, again)
    pools, blobs = (cast(Any, Part(ways, name, trash.doubt)) for name in ("pools", "blobs"))
    patient = Patient(pools, blobs, trash, patience)
    resuming = cast(Blobs, RoutedBlobs(ways, patient, trash))
    jobs = RoutedJobs(ways, trash, resuming)
    return RoutedStorage(
        pools=cast(Pools, RoutedPools(ways, survey, patient, term)),
        blobs=resuming,
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

    def __init__(self, ways: Ways, survey: Survey, patient: Patient, term: Callable[[], int]) -> None:
        self._ways = ways
        self._survey = survey
        self._patient = patient
        self._term = term
        self._turns: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._in_order: set[int] = set()

    def __getattr__(self, call: str) -> Any:
        return getattr(self._patient.pools, call)

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
        coming += tuple(ref for ref in self._patient.coming if ref.pool == pool)
        if not self._ways.is_shared(pool):
            return await self._patient.pools.open(pool, kept, trashed, coming, tidy=tidy, deadline=deadline)
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

    def __init__(self, ways: Ways, patient: Patient, trash: RoutedTrash) -> None:
        self._ways = ways
        self._patient = patient
        self._trash = trash

    def __getattr__(self, call: str) -> Any:
        return getattr(self._patient.blobs, call)

    async def create(self, ref: MediaRef, size: int, *, deadline: float) -> None:
        self._trash.check(ref)
        await self._patient.blobs.create(ref, size, deadline=deadline)

    async def put(self, ref: MediaRef, *, deadline: float) -> Incoming:
        self._trash.check(ref)
        return self._coming(ref, await self._patient.blobs.put(ref, deadline=deadline))

    async def resume(self, ref: MediaRef, size: int, *, deadline: float) -> Incoming:
        if self._ways.is_shared(ref.pool) and (silent := self._ways.silent_of(ref.pool)):
            raise Unknown(
                f"{silent}, and may still be writing to it: wait until it does, or send it from the beginning"
            )
        return self._coming(ref, await self._patient.blobs.resume(ref, size, deadline=deadline), size)

    def _coming(self, ref: MediaRef, opened: Incoming, size: int = 0) -> Incoming:
        if not self._ways.called_if_other(ref.pool):
            return opened
        if self._ways.is_shared(ref.pool):
            return cast(Incoming, Coming(opened, ref, self._patient, self._trash, self._ways.host_of(ref.pool)))
        return ResumedIncoming(self._patient, ref, opened, size)

    async def get(self, ref: MediaRef, *, deadline: float) -> Outgoing:
        opened = await self._patient.blobs.get(ref, deadline=deadline)
        return ResumedOutgoing(self._patient, ref, opened) if self._ways.called_if_other(ref.pool) else opened


class Coming:
    """An object that is being received in a shared pool. If it is closed early, it belongs nowhere, even if its host is
    lost by then.

    No host removes leftovers there by itself.
    """

    def __init__(self, opened: Incoming, ref: MediaRef, storage: Patient, trash: RoutedTrash, host: int) -> None:
        self._trash = trash
        self._host = host
        self._opened = opened
        self._ref = ref
        self._storage = storage
        self._stays = False
        storage.coming.add(ref)

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
        self._storage.coming.discard(self._ref)


class RoutedTrash:
    """Implements `velocity.storage.port.Trash`. A host that does not respond is told later.

    An object that is made, moved away and made again has the same name each time. So none is begun, hidden or restored
    while an earlier call about it may still take effect.
    """

    def __init__(self, ways: Ways, again: float) -> None:
        part = Part(ways, "trash", self.doubt)
        self._ways = ways
        self._again = again
        self._lift, self._restore, self._held = part.lift, part.restore, part.held
        self._left: dict[MediaRef, Belongs] = {}
        self._given_up: dict[MediaRef, int] = {}
        """Targets of jobs that have to be cancelled, with the jobs' hosts."""
        self._doubts: dict[MediaRef, int] = {}
        """Objects in shared pools with an unknown outcome, with the host that has not responded."""
        self._telling: asyncio.Task[None] | None = None

    def doubt(self, ref: MediaRef, host: int) -> None:
        self._doubts[ref] = host

    def answered(self, mpid: int, host: int) -> None:
        """Earlier calls to the host are over in that pool."""
        self._doubts = {ref: at for ref, at in self._doubts.items() if (ref.pool, at) != (mpid, host)}

    def check(self, ref: MediaRef, *, begins: bool = True) -> None:
        """Raises `Unknown` if it is in doubt, or, if it `begins`, an older object of that name is not removed yet."""
        host = self._doubts.get(ref)
        if host is not None and (called := self._ways.called(host)):
            raise Unknown(f"{called} has not reported the result: wait until it responds")
        if begins and ref in self._left:
            raise Unknown("what was there before has not been removed yet: try again in a moment")

    async def lift(self, ref: MediaRef, *, deadline: float) -> None:
        self.check(ref, begins=False)
        self._left.pop(ref, None)
        await self._lift(ref, deadline=deadline)

    async def restore(self, ref: MediaRef, *, deadline: float) -> None:
        self.check(ref, begins=False)
        self._left.pop(ref, None)
        await self._restore(ref, deadline=deadline)

    async def held(self, pool: int, refs: tuple[MediaRef, ...] | None, *, deadline: float) -> int:
        held: int = await self._held(pool, refs, deadline=deadline)
        return held

    async def settle(self, ref: MediaRef, belongs: Belongs, *, deadline: float) -> None:
        self._left.pop(ref, None)
        host = self._ways.host_of(ref.pool)
        try:
            await self._ways.storage_of(ref.pool).trash.settle(ref, belongs, deadline=deadline)
        except Unknown:
            if self._ways.is_shared(ref.pool):
                self.doubt(ref, host)
            self._tell_later(ref, belongs)
        except Refused:
            self._tell_later(ref, belongs)
        except Exception:  # a bug of ours, or a host without threads
            log.exception("%s cannot be put where it belongs now", ref)
            self._tell_later(ref, belongs)

    def give_up(self, target: MediaRef, host: int) -> None:
        """The end of its job is unknown: cancel it when its host responds; nothing is left."""
        self._given_up[target] = host
        self._tell_later(target, Belongs.NOWHERE)

    def _tell_later(self, ref: MediaRef, belongs: Belongs) -> None:
        self._left[ref] = belongs
        if self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._tell(), context=Context())

    async def _tell(self) -> None:
        while self._left:
            await asyncio.sleep(self._again)
            for ref, belongs in list(self._left.items()):
                if self._left.get(ref) is belongs:
                    await self._tell_one(ref, belongs)
        self._telling = None

    async def _tell_one(self, ref: MediaRef, belongs: Belongs) -> None:
        try:
            if ref in self._given_up:
                host = self._given_up[ref]
                if self._ways.called(host):  # otherwise the host is gone, with its jobs
                    await self._ways.storage_on(host).jobs.cancel(ref, deadline=self._again)
                self._given_up.pop(ref, None)
            await self._ways.storage_of(ref.pool).trash.settle(ref, belongs, deadline=self._again)
        except Refused:
            return
        except Exception:  # as above: it is repeated
            log.debug("%s cannot be put where it belongs yet", ref, exc_info=True)
            return
        if self._left.get(ref) is belongs:
            del self._left[ref]

    async def close(self) -> None:
        """What is left is done by the next server, when it opens the pools."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.wait({self._telling})


class RoutedJobs:
    """Implements `velocity.storage.port.Jobs`: on a host that has both pools, or from one host to another."""

    def __init__(self, ways: Ways, trash: RoutedTrash, blobs: Blobs) -> None:
        self._ways = ways
        self._trash = trash
        self._blobs = blobs
        self._transfers: dict[MediaRef, Transfer] = {}
        self._at: dict[MediaRef, int] = {}
        """The hosts of jobs, by target: shared pools may be routed to another host meanwhile."""

    async def prepare(self, job: Job, *, deadline: float) -> Prepared:
        self._trash.check(job.target)
        source, target = (self._ways.storage_of(pool) for pool in (job.source.pool, job.target.pool))
        if (host := self._ways.host_of_both(job.target.pool, job.source.pool)) is not None:
            prepared = await self._ways.storage_on(host).jobs.prepare(job, deadline=deadline)
            self._at[job.target] = host
            return prepared
        if source is target:
            return await target.jobs.prepare(job, deadline=deadline)
        if not isinstance(job, Clone) or job.compact or job.source.format != job.target.format:
            raise self._refused(job)
        outgoing = await self._blobs.get(job.source, deadline=deadline)
        self._transfers[job.target] = Transfer(job, outgoing, self._blobs, self._trash)
        return Prepared(outgoing.stat.size, outgoing.stat.allocated)

    def _refused(self, job: Job) -> Refused:
        source, target = (
            self._ways.called_if_other(pool) or "this server's host" for pool in (job.source.pool, job.target.pool)
        )
        return Refused(
            Problem.POOL_AWAY,
            f"it is on {source}, and the new one is to be on {target}; between hosts a medium is copied as it is: do "
            f"this in a pool of {source}, then move the result",
            field="mpid",
        )

    def _storage(self, target: MediaRef) -> Storage:
        host = self._at.get(target)
        return self._ways.storage_of(target.pool) if host is None else self._ways.storage_on(host)

    async def start(self, target: MediaRef, size: int, *, deadline: float) -> None:
        if (transfer := self._transfers.get(target)) is not None:
            transfer.start()
        else:
            await self._storage(target).jobs.start(target, size, deadline=deadline)

    async def allow(self, target: MediaRef, size: int, *, deadline: float) -> None:
        await self._storage(target).jobs.allow(target, size, deadline=deadline)

    def watch(self, target: MediaRef) -> AsyncIterator[JobProgress | Made]:
        transfer = self._transfers.get(target)
        return self._watch(target) if transfer is None else transfer.watch()

    async def _watch(self, target: MediaRef) -> AsyncIterator[JobProgress | Made]:
        """Names a host that does not respond in the error."""
        host = self._ways.called_if_other(target.pool)
        try:
            async for now in self._storage(target).jobs.watch(target):
                yield now
        except Unknown as unknown:
            raise told_of(host, unknown) from None

    async def cancel(self, target: MediaRef, *, deadline: float) -> None:
        if (transfer := self._transfers.pop(target, None)) is not None:
            await transfer.cancel()
            return
        try:
            await self._storage(target).jobs.cancel(target, deadline=deadline)
        except Unknown:
            self._trash.give_up(target, self._at.get(target, self._ways.host_of(target.pool)))
        self._at.pop(target, None)

    async def close(self) -> None:
        for target in list(self._transfers):
            await self._transfers.pop(target).cancel()
