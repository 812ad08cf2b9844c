"""The storage of many hosts: each call goes to the host of the pool that it names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextvars import Context
from dataclasses import dataclass
from typing import Any, cast

from velocity.contract.problems import Problem, Refused
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
    Prepared,
    Storage,
    Unknown,
)
from velocity.storage.transfer import Transfer

AGAIN = 5.0
"""Seconds after which a host that did not answer is told again where an object belongs."""

Of = Callable[[int], Storage]
"""The storage that a pool is of."""
Called = Callable[[int], str]
"""The host of a pool, for people."""


@dataclass(frozen=True)
class RoutedStorage(Storage):
    """That of all hosts that there are at the moment of a call; `hosts` are they."""

    hosts: Callable[[], Iterable[Storage]]
    transfers: RoutedJobs
    settling: RoutedTrash

    async def close(self) -> None:
        await self.settling.close()
        await self.transfers.close()
        await asyncio.gather(*(one.close() for one in self.hosts()))


def routed(
    of: Of, called: Called, hosts: Callable[[], Iterable[Storage]], files: MediaFiles, again: float = AGAIN
) -> RoutedStorage:
    """`files` are our own host's."""
    trash = RoutedTrash(of, called, again)
    jobs = RoutedJobs(of, called, trash)
    return RoutedStorage(
        pools=cast(Pools, _Part(of, called, "pools")),
        blobs=cast(Blobs, _Part(of, called, "blobs")),
        trash=trash,
        jobs=jobs,
        files=files,
        hosts=hosts,
        transfers=jobs,
        settling=trash,
    )


class _Part:
    """One part: every call names its pool first, by an object or by itself."""

    def __init__(self, of: Of, called: Called, name: str) -> None:
        self._of = of
        self._called = called
        self._name = name

    def __getattr__(self, call: str) -> Any:
        def forwarded(named: MediaRef | int, *given: Any, **more: Any) -> Any:
            mpid = named.pool if isinstance(named, MediaRef) else named
            if host := self._called(mpid):
                return self._elsewhere(host, call, named, given, more)
            return getattr(getattr(self._of(mpid), self._name), call)(named, *given, **more)

        self.__dict__[call] = forwarded
        return forwarded

    async def _elsewhere(
        self, host: str, call: str, named: MediaRef | int, given: tuple[Any, ...], more: dict[str, Any]
    ) -> Any:
        """What does not answer is told with the host's name."""
        mpid = named.pool if isinstance(named, MediaRef) else named
        try:
            answer = await getattr(getattr(self._of(mpid), self._name), call)(named, *given, **more)
        except Unknown as unknown:
            raise _named(host, unknown) from None
        return _Held(answer, host) if call in HELD else answer


HELD = ("put", "resume", "get")
"""The calls that give something to go on with."""


class _Held:
    """What is held on another host: what does not answer any more is told with the host's name."""

    def __init__(self, held: Incoming | Outgoing, host: str) -> None:
        self._held = held
        self._host = host

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._held, name)
        if not callable(found):
            return found

        async def named(*given: Any) -> Any:
            try:
                return await found(*given)
            except Unknown as unknown:
                raise _named(self._host, unknown) from None

        self.__dict__[name] = named
        return named


def _named(host: str, unknown: Unknown) -> Unknown:
    """With the host's name, unless it is said already."""
    return unknown if not host or unknown.message.startswith(host) else Unknown(f"{host}: {unknown.message}")


class RoutedTrash:
    """Keeps `velocity.storage.port.Trash`. What a host was not told, as it does not answer, it is told later."""

    def __init__(self, of: Of, called: Called, again: float) -> None:
        part = _Part(of, called, "trash")
        self._of = of
        self._again = again
        self._lift, self._restore, self._held = part.lift, part.restore, part.held
        self._left: dict[MediaRef, Belongs] = {}
        self._given_up: set[MediaRef] = set()
        self._telling: asyncio.Task[None] | None = None

    async def lift(self, ref: MediaRef, *, deadline: float) -> None:
        self._left.pop(ref, None)
        await self._lift(ref, deadline=deadline)

    async def restore(self, ref: MediaRef, *, deadline: float) -> None:
        self._left.pop(ref, None)
        await self._restore(ref, deadline=deadline)

    async def held(self, pool: int, refs: tuple[MediaRef, ...] | None, *, deadline: float) -> int:
        held: int = await self._held(pool, refs, deadline=deadline)
        return held

    async def settle(self, ref: MediaRef, belongs: Belongs, *, deadline: float) -> None:
        self._left.pop(ref, None)
        try:
            await self._of(ref.pool).trash.settle(ref, belongs, deadline=deadline)
        except Unknown:
            self._tell_later(ref, belongs)

    def give_up(self, target: MediaRef) -> None:
        """The job that makes it was not heard to end: it is cancelled when its host answers, and nothing remains."""
        self._given_up.add(target)
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
                await self._of(ref.pool).jobs.cancel(ref, deadline=self._again)
                self._given_up.discard(ref)
            await self._of(ref.pool).trash.settle(ref, belongs, deadline=self._again)
        except Unknown:
            return
        if self._left.get(ref) is belongs:
            del self._left[ref]

    async def close(self) -> None:
        """The next server tells it, when it opens the pool."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.wait({self._telling})


class RoutedJobs:
    """Keeps `velocity.storage.port.Jobs`: on the host of their pools, and from one host to another."""

    def __init__(self, of: Of, called: Called, trash: RoutedTrash) -> None:
        self._of = of
        self._called = called
        self._trash = trash
        self._blobs = cast(Blobs, _Part(of, called, "blobs"))
        self._transfers: dict[MediaRef, Transfer] = {}

    async def prepare(self, job: Job, *, deadline: float) -> Prepared:
        source, target = self._of(job.source.pool), self._of(job.target.pool)
        if source is target:
            return await target.jobs.prepare(job, deadline=deadline)
        if not isinstance(job, Clone) or job.compact or job.source.format != job.target.format:
            raise self._refused(job)
        outgoing = await self._blobs.get(job.source, deadline=deadline)
        self._transfers[job.target] = Transfer(job, outgoing, self._blobs, self._trash)
        return Prepared(outgoing.stat.size, outgoing.stat.allocated)

    def _refused(self, job: Job) -> Refused:
        source, target = (self._called(pool) or "this server's host" for pool in (job.source.pool, job.target.pool))
        return Refused(
            Problem.POOL_AWAY,
            f"it is on {source}, and the new one is to be on {target}; between hosts a medium is copied as it is: do "
            f"this in a pool of {source}, then move the result",
            field="mpid",
        )

    async def start(self, target: MediaRef, size: int, *, deadline: float) -> None:
        if (transfer := self._transfers.get(target)) is not None:
            transfer.start()
        else:
            await self._of(target.pool).jobs.start(target, size, deadline=deadline)

    async def allow(self, target: MediaRef, size: int, *, deadline: float) -> None:
        await self._of(target.pool).jobs.allow(target, size, deadline=deadline)

    def watch(self, target: MediaRef) -> AsyncIterator[JobProgress | Made]:
        transfer = self._transfers.get(target)
        return self._of(target.pool).jobs.watch(target) if transfer is None else transfer.watch()

    async def cancel(self, target: MediaRef, *, deadline: float) -> None:
        if (transfer := self._transfers.pop(target, None)) is not None:
            await transfer.cancel()
            return
        try:
            await self._of(target.pool).jobs.cancel(target, deadline=deadline)
        except Unknown:
            self._trash.give_up(target)

    async def close(self) -> None:
        for target in list(self._transfers):
            await self._transfers.pop(target).cancel()
