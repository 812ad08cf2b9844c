"""Media made out of others, as tasks: imports of images and of packed files, and clones."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from uuid import UUID, uuid4

from velocity import plan
from velocity.access.sessions import Caller
from velocity.contract.media import CloneMedium, Content, ImportMedium
from velocity.media.pools import Reservation
from velocity.media.rules import Medium, described, file_name
from velocity.media.service import Library
from velocity.storage.directory.files import PoolFiles
from velocity.storage.directory.formats import IMAGES, PACKED, refused
from velocity.storage.directory.images import Images, no_room, unpacked
from velocity.storage.directory.inspect import inspect
from velocity.tasks.service import Progress, Tasks
from velocity.uninterrupted import in_thread, whole

STEP = 256 << 20
"""Bytes of quota that unpacking takes at a time, as nobody knows how much it will be."""
BLOCK = 1 << 16


class Making:
    """Imports and clones."""

    def __init__(self, library: Library, tasks: Tasks, images: Images) -> None:
        self._library = library
        self._tasks = tasks
        self.images = images

    async def import_(self, caller: Caller, request: ImportMedium) -> int:
        """The task that makes a medium of what the bytes of another one are. Raises `Refused`, before it begins."""
        source, files = await self._look(caller, request.mid, request.gid, request.mpid)
        kind = source.content.format
        if source.format != "raw" or kind not in IMAGES | PACKED:
            raise refused(
                f"{source.name!r} is {kind}: only {', '.join(sorted(IMAGES | PACKED))} are imported; clone a medium, "
                "or attach it as it is"
            )
        medium = Medium(
            mid=uuid4(), mpid=request.mpid, gid=request.gid, name=request.name, type=request.type, size=0,
            readonly=False, format=request.format, content=Content(format="unknown"),
        )  # fmt: skip
        with contextlib.ExitStack() as held:
            image = held.enter_context(self._library.sources.reading(source))
            if kind in PACKED:
                medium = replace(medium, format="raw")
                return await self._begin(
                    caller, "import", medium, files, lambda making: making.unpack(image, kind), held.pop_all()
                )
            size = await self.images.virtual_size(image, kind)
            if size < 1:
                raise refused("its disk has no size")
            medium = replace(medium, size=size)

            def fill(making: _Making) -> Awaitable[Medium]:
                return making.convert(self.images, image, kind, foreign=True)

            return await self._begin(caller, "import", medium, files, fill, held.pop_all())

    async def clone(self, caller: Caller, request: CloneMedium) -> int:
        """The task that copies a medium, into another format if asked. Raises `Refused`, before it begins."""
        source, files = await self._look(caller, request.mid, request.gid, request.mpid)
        format_ = request.format if isinstance(request.format, str) else source.format
        medium = replace(
            source, mid=uuid4(), mpid=request.mpid, gid=request.gid, name=request.name, readonly=False, format=format_
        )
        with contextlib.ExitStack() as held:
            image = held.enter_context(self._library.sources.reading(source))

            def fill(making: _Making) -> Awaitable[Medium]:
                return making.convert(self.images, image, source.format, foreign=False)

            return await self._begin(caller, "clone", medium, files, fill, held.pop_all())

    async def _look(self, caller: Caller, mid: UUID, gid: int, mpid: int) -> tuple[Medium, PoolFiles]:
        """The source, and the files of the pool that the new medium goes to."""
        pools = self._library.pools
        pools.managed(caller, gid, mpid)
        source = self._library.visible(caller, gid, mid, field="mid")
        await pools.check(mpid)
        await pools.check(source.mpid, writes=False)
        return self._library.visible(caller, gid, mid, field="mid"), pools.managed(caller, gid, mpid)

    async def _begin(
        self,
        caller: Caller,
        kind: str,
        medium: Medium,
        files: PoolFiles,
        fill: Callable[[_Making], Awaitable[Medium]],
        held: contextlib.ExitStack,
    ) -> int:
        """`held` is the source, which the task lets go at its end."""

        async def work(progress: Progress) -> UUID:
            with held:
                return await _Making(self._library, medium, files, reservation, progress).make(fill)

        try:
            reservation = held.enter_context(self._library.reservation(medium))
            plan.step("create", "medium", medium.name, gid=medium.gid)
            return await self._tasks.begin(caller, kind, medium.gid, medium.name, medium.mid, work, reservation.frees)
        except BaseException:
            held.close()
            raise


class _Making:
    """One medium being made. Whatever goes wrong, nothing of it remains."""

    def __init__(
        self, library: Library, medium: Medium, files: PoolFiles, reservation: Reservation, progress: Progress
    ) -> None:
        self._library = library
        self._medium = medium
        self._files = files
        self._reservation = reservation
        self._progress = progress
        self._path = files.moving(file_name(medium))

    async def make(self, fill: Callable[[_Making], Awaitable[Medium]]) -> UUID:
        medium = self._medium
        try:
            with self._files.asked_for(medium.size):
                medium = await fill(self)
                medium = described(medium, await asyncio.to_thread(inspect, self._path))
        except BaseException:
            await whole(asyncio.to_thread(self._files.drop, file_name(medium)))
            raise
        await whole(self._library.keep(self._files, medium))  # from here on the database decides
        return medium.mid

    async def convert(self, images: Images, source: int, kind: str, *, foreign: bool) -> Medium:
        medium = self._medium
        self._progress.total = medium.size
        await in_thread(self._files.create, file_name(medium), medium.size, medium.format)
        await images.convert(source, kind, self._path, medium.format, medium.size, self._tell, foreign=foreign)
        return medium

    async def unpack(self, source: int, kind: str) -> Medium:
        """It may be no more than the quota, and no more than the pool has free, sparse or not."""
        medium = self._medium
        self._progress.total = os.fstat(source).st_size
        most = await asyncio.to_thread(self._files.free)
        size = 0
        await in_thread(self._files.create, file_name(medium), 0, "raw")
        descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        try:
            async with aclosing(unpacked(source, kind, self._tell)) as pieces:
                async for piece in pieces:
                    if size + len(piece) > most:
                        raise no_room(most)
                    if size + len(piece) > self._reservation.size:
                        self._reservation.take(min(STEP, most - self._reservation.size))
                    await in_thread(_write, self._files, descriptor, piece, size)
                    size += len(piece)
            if not size:
                raise refused("it unpacks to nothing")
            await in_thread(_finish, self._files, descriptor, size)
        finally:
            os.close(descriptor)
        self._reservation.fit(size)
        return replace(medium, size=size)

    def _tell(self, done: int) -> None:
        self._progress.done = done


def _write(files: PoolFiles, descriptor: int, piece: bytes, offset: int) -> None:
    """Blocks of zeros stay holes. Raises `Refused(POOL_QUOTA)` when the disk is full."""
    with files.asked_for(offset + len(piece)):
        for at in range(0, len(piece), BLOCK):
            block = piece[at : at + BLOCK]
            if block.strip(b"\0"):
                os.pwrite(descriptor, block, offset + at)


def _finish(files: PoolFiles, descriptor: int, size: int) -> None:
    with files.asked_for(size):
        os.ftruncate(descriptor, size)
        os.fsync(descriptor)
