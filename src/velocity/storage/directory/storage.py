"""The storage port, implemented with the directories of this host's pools."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from velocity.contract.problems import Problem, Refused
from velocity.storage.directory import direct_io
from velocity.storage.directory.disk_errors import as_refusals
from velocity.storage.directory.host_pool import HostFiles
from velocity.storage.directory.image_file import ImageFile
from velocity.storage.directory.images import Images
from velocity.storage.directory.jobs import DirectoryJobs
from velocity.storage.directory.places import file_name
from velocity.storage.directory.pool import PoolDirectories, PoolDirectory
from velocity.storage.directory.presence import Names
from velocity.storage.directory.shared_descriptor import SharedDescriptor
from velocity.storage.directory.streams import FileIncoming, FileOutgoing
from velocity.storage.port import (
    Belongs,
    Incoming,
    MediaRef,
    Outgoing,
    PoolMark,
    PoolState,
    Space,
    Stat,
    Storage,
    Unknown,
)

OPEN_DEADLINE = 10.0
"""Seconds that the start of a machine waits for a medium."""

T = TypeVar("T")


@dataclass(frozen=True)
class DirectoryStorage(Storage):
    """Storage, with access to its pool directories."""

    directories: PoolDirectories


def storage_of(pools: Sequence[PoolDirectory], worker: int | None) -> DirectoryStorage:
    """`worker` is the uid for programs that read images; None if the server cannot change it."""
    directories, images = PoolDirectories(pools), Images(worker)
    return DirectoryStorage(
        pools=DirectoryPools(directories),
        blobs=DirectoryBlobs(directories, images),
        trash=DirectoryTrash(directories),
        jobs=DirectoryJobs(directories, images),
        files=DirectoryFiles(directories),
        directories=directories,
    )


class DirectoryFiles:
    """Implements `velocity.storage.port.MediaFiles`."""

    def __init__(self, directories: PoolDirectories) -> None:
        self._directories = directories

    def open(self, media: MediaRef, *, readonly: bool, coming: bool = False) -> int:
        pool, name = self._directories.get(media.pool), file_name(media)

        def opened() -> int:
            pool.presence.check(name)
            with as_refusals(pool.places):
                return pool.files.openings.lend(name, readonly=readonly, coming=coming)

        if isinstance(pool.files, HostFiles):
            return opened()  # the server's own data: if that does not respond, nothing works
        return pool.threads.call(OPEN_DEADLINE, opened, undo=os.close)

    def direct_lacks(self, media: MediaRef, descriptor: int, *, readonly: bool) -> str:
        grows = readonly or media.format != "raw"  # otherwise the disk has the file's size
        pool, own = self._directories.get(media.pool), os.dup(descriptor)

        def found() -> str:
            try:
                return direct_io.lacks(own, grows=grows)
            finally:
                os.close(own)

        return pool.threads.call(OPEN_DEADLINE, found, undo=lambda _: None)

    def is_shared(self, media: MediaRef) -> bool:
        pool = self._directories.find(media.pool)
        return pool is not None and pool.places.shared

    def provide(self, ref: MediaRef, template: int) -> None:
        pool, files = self._host(ref)
        pool.presence.open(Names())  # the first call removes what a crash left
        with as_refusals(pool.places):
            files.provide(file_name(ref), template)

    def remove(self, ref: MediaRef) -> None:
        pool, files = self._host(ref)
        with as_refusals(pool.places):
            files.remove(file_name(ref))

    def _host(self, ref: MediaRef) -> tuple[PoolDirectory, HostFiles]:
        pool = self._directories.get(ref.pool)
        assert isinstance(pool.files, HostFiles), "objects of other pools are made by a job, and settled"
        return pool, pool.files


class DirectoryPools:
    """Implements `velocity.storage.port.Pools`."""

    def __init__(self, directories: PoolDirectories) -> None:
        self._directories = directories

    async def state(self, pool: int, *, deadline: float) -> PoolState | None:
        one = self._directories.get(pool)
        return await self._look(one, deadline, one.presence.state)

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
        one = self._directories.get(pool)
        known = [{file_name(ref) for ref in refs} for refs in (kept, trashed, coming)]
        return await self._look(one, deadline, lambda: one.presence.open(Names(*known, tidy=tidy, term=term)))

    async def mark(self, pool: int, expected: str, *, deadline: float) -> PoolMark:
        one = self._directories.get(pool)
        one.threads.check()
        mark = await one.threads.do(deadline, one.presence.mark, expected)
        one.retry()  # this host may have machines there, even if nothing else is asked of it
        return mark

    async def _look(self, pool: PoolDirectory, deadline: float, look: Callable[[], T]) -> T:
        pool.threads.check()
        now = await pool.threads.do(deadline, look)
        pool.retry()
        return now

    async def space(self, pool: int, *, deadline: float) -> Space:
        one = self._directories.get(pool)
        one.threads.check()
        return await one.threads.do(deadline, one.files.space)

    async def blocklist(
        self, pool: int, addresses: tuple[str, ...], refs: tuple[MediaRef, ...], *, deadline: float
    ) -> tuple[str, ...]:
        one, names = self._directories.get(pool), [file_name(ref) for ref in refs]
        return await one.threads.do(deadline, one.files.blocklist.add, addresses, names)

    async def take_off_blocklist(self, pool: int, addresses: tuple[str, ...], *, deadline: float) -> None:
        one = self._directories.get(pool)
        await one.threads.do(deadline, one.files.blocklist.lift, addresses)

    async def give_up(self, pool: int, *, deadline: float) -> None:
        one = self._directories.get(pool)
        await one.threads.do(deadline, one.files.blocklist.give_up)

    async def close(self) -> None:
        await self._directories.close()


class DirectoryBlobs:
    """Implements `velocity.storage.port.Blobs`."""

    def __init__(self, directories: PoolDirectories, images: Images) -> None:
        self._directories = directories
        self._images = images
        self._growing: set[asyncio.Task[None]] = set()

    async def create(self, ref: MediaRef, size: int, *, deadline: float) -> None:
        pool, name = self._directories.get(ref.pool), file_name(ref)

        def undo(_: None) -> None:
            pool.files.settle(name, Belongs.NOWHERE)

        try:
            await pool.threads.do(deadline, pool.files.create, name, size, ref.format, undo=undo)
        finally:
            pool.retry()

    async def put(self, ref: MediaRef, *, deadline: float) -> Incoming:
        pool = self._directories.get(ref.pool)
        incoming = FileIncoming(pool, file_name(ref))
        await pool.threads.do(deadline, incoming.open, undo=lambda _: incoming.let_go())
        return incoming

    async def resume(self, ref: MediaRef, size: int, *, deadline: float) -> Incoming:
        pool = self._directories.get(ref.pool)
        incoming = FileIncoming(pool, file_name(ref))
        await pool.threads.do(deadline, incoming.reopen, size, undo=lambda _: incoming.abandon())
        return incoming

    async def get(self, ref: MediaRef, *, deadline: float) -> Outgoing:
        pool = self._directories.get(ref.pool)
        return await pool.threads.do(
            deadline, FileOutgoing, pool, file_name(ref), undo=lambda outgoing: outgoing.let_go()
        )

    async def grow(self, ref: MediaRef, size: int, *, deadline: float) -> None:
        pool = self._directories.get(ref.pool)
        if ref.format == "raw":
            await pool.threads.do(deadline, pool.files.grow, file_name(ref), size)
            return
        growing = asyncio.create_task(self._grow_image(pool, ref, size))
        self._growing.add(growing)
        growing.add_done_callback(self._grown)
        await asyncio.wait({growing}, timeout=deadline)
        if not growing.done():
            raise pool.threads.unknown()
        growing.result()

    async def _grow_image(self, pool: PoolDirectory, ref: MediaRef, size: int) -> None:
        def opened() -> SharedDescriptor:
            with as_refusals(pool.places, size, pool.files.fullness.heard):
                return pool.files.openings.edit(file_name(ref))

        file = await pool.threads.run(opened, undo=SharedDescriptor.close)
        try:
            with as_refusals(pool.places, size, pool.files.fullness.heard):
                await self._images.grow(ImageFile(file, pool.threads), size, ref.pool)
        finally:
            file.close()

    def _grown(self, growing: asyncio.Task[None]) -> None:
        self._growing.discard(growing)
        if not growing.cancelled():
            growing.exception()  # it was reported, or nobody asks for it any more

    async def stat(self, pool: int, refs: tuple[MediaRef, ...], *, deadline: float) -> tuple[Stat | None, ...]:
        one = self._directories.get(pool)
        return await one.threads.do(deadline, lambda: tuple(one.files.stat(file_name(ref)) for ref in refs))


class DirectoryTrash:
    """Implements `velocity.storage.port.Trash`."""

    def __init__(self, directories: PoolDirectories) -> None:
        self._directories = directories

    async def lift(self, ref: MediaRef, *, deadline: float) -> None:
        pool, name = self._directories.get(ref.pool), file_name(ref)

        def undo(_: None) -> None:
            pool.files.settle(name, Belongs.KEPT)

        await pool.threads.do(deadline, pool.files.lift, name, undo=undo)

    async def restore(self, ref: MediaRef, *, deadline: float) -> None:
        pool, name = self._directories.get(ref.pool), file_name(ref)

        def undo(_: None) -> None:
            pool.files.settle(name, Belongs.TRASH)

        await pool.threads.do(deadline, pool.files.bring_back, name, undo=undo)

    async def settle(self, ref: MediaRef, belongs: Belongs, *, deadline: float) -> None:
        pool = self._directories.find(ref.pool)
        if pool is not None:
            try:
                await pool.threads.do(deadline, lambda: pool.files.settle(file_name(ref), belongs, told=True))
            except OSError as error:
                words = f"pool {pool.places.name!r} cannot be put in order now: {error.strerror}"
                raise Refused(Problem.POOL_AWAY, words) from None
            except Unknown:
                if pool.places.shared:
                    raise
                # otherwise it will be done later
            pool.retry()

    async def held(self, pool: int, refs: tuple[MediaRef, ...] | None, *, deadline: float) -> int:
        one = self._directories.get(pool)
        names = None if refs is None else {file_name(ref) for ref in refs}
        return await one.threads.do(deadline, one.files.trashed, names)
