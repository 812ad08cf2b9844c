"""The jobs of all hosts: on a host that has both pools, or from one host to another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from velocity.contract.problems import Problem, Refused
from velocity.storage.host_job import HostJob
from velocity.storage.patience import Patience
from velocity.storage.port import Belongs, Blobs, Clone, Job, JobProgress, Made, MediaRef, Prepared, Storage, Unknown
from velocity.storage.routed_trash import RoutedTrash
from velocity.storage.transfer import Transfer
from velocity.storage.ways import Ways, told_of


class RoutedJobs:
    """Implements `velocity.storage.port.Jobs`.

    Jobs on other hosts and between hosts continue after interruptions, except into a shared pool.
    """

    def __init__(self, ways: Ways, trash: RoutedTrash, blobs: Blobs, patience: Patience) -> None:
        self._ways = ways
        self._trash = trash
        self._blobs = blobs
        self._patience = patience
        self._transfers: dict[MediaRef, Transfer] = {}
        self._on_others: dict[MediaRef, HostJob] = {}
        self._made: set[MediaRef] = set()
        """Targets whose jobs have been reported as made: they belong to who made them."""
        self._at: dict[MediaRef, int] = {}
        """The hosts of jobs, by target: shared pools may be routed to another host meanwhile."""

    async def prepare(self, job: Job, *, deadline: float) -> Prepared:
        return await self._patience.ask(job.target.pool, lambda: self._prepare(job, deadline))

    async def _prepare(self, job: Job, deadline: float) -> Prepared:
        self._trash.check(job.target)
        source, target = (self._ways.storage_of(pool) for pool in (job.source.pool, job.target.pool))
        if (host := self._ways.host_of_both(job.target.pool, job.source.pool)) is not None:
            return await self._prepare_on(host, job, deadline)
        if source is target:
            return await target.jobs.prepare(job, deadline=deadline)
        if not isinstance(job, Clone) or job.compact or job.source.format != job.target.format:
            raise self._refused(job)
        outgoing = await self._blobs.get(job.source, deadline=deadline)
        self._transfers[job.target] = Transfer(job, outgoing, self._blobs, self._trash)
        return Prepared(outgoing.stat.size, outgoing.stat.allocated)

    async def _prepare_on(self, host: int, job: Job, deadline: float) -> Prepared:
        """On a host with both pools."""
        if not self._patience.waits_for(job.target.pool):
            prepared = await self._ways.storage_on(host).jobs.prepare(job, deadline=deadline)
            self._at[job.target] = host
            return prepared
        called = self._ways.called(host)
        one = HostJob(job, lambda: self._ways.storage_on(host), self._patience, called)
        with self._trash.begun(job.target):
            try:
                prepared = await one.prepare(deadline=deadline)
            except (Unknown, asyncio.CancelledError) as lost:
                self._trash.give_up(job.target, host, made=False)
                raise told_of(called, lost) if isinstance(lost, Unknown) else lost from None
        self._on_others[job.target], self._at[job.target] = one, host
        return prepared

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
        elif (one := self._on_others.get(target)) is not None:
            await one.start(size, deadline=deadline)
        else:
            await self._storage(target).jobs.start(target, size, deadline=deadline)

    async def allow(self, target: MediaRef, size: int, *, deadline: float) -> None:
        if (one := self._on_others.get(target)) is not None:
            await one.allow(size, deadline=deadline)
        else:
            await self._storage(target).jobs.allow(target, size, deadline=deadline)

    def watch(self, target: MediaRef) -> AsyncIterator[JobProgress | Made]:
        transfer = self._transfers.get(target)
        return self._watch(target) if transfer is None else transfer.watch()

    async def _watch(self, target: MediaRef) -> AsyncIterator[JobProgress | Made]:
        """Names a host that does not respond in the error."""
        host, one = self._ways.called_if_other(target.pool), self._on_others.get(target)
        try:
            async for now in self._storage(target).jobs.watch(target) if one is None else one.watch():
                if isinstance(now, Made):
                    self._made.add(target)
                yield now
        except Unknown as unknown:
            raise told_of(host, unknown) from None

    async def cancel(self, target: MediaRef, *, deadline: float) -> None:
        if (transfer := self._transfers.pop(target, None)) is not None:
            await transfer.cancel()
            return
        one, made = self._on_others.pop(target, None), target in self._made
        self._made.discard(target)
        try:
            await self._storage(target).jobs.cancel(target, deadline=deadline)
        except Unknown:
            self._trash.give_up(target, self._at.get(target, self._ways.host_of(target.pool)), made=made)
        else:
            if one is not None and not made:  # the host may have reported it as made, and the answer is lost
                await self._trash.settle(target, Belongs.NOWHERE, deadline=deadline)
        self._at.pop(target, None)

    async def close(self) -> None:
        for target in list(self._transfers):
            await self._transfers.pop(target).cancel()
