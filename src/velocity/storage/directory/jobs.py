"""Objects made of others, each in a task: imports of images, unpacking, and clones."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from velocity import sizes
from velocity.contract.problems import Problem, Refused
from velocity.storage.directory.files import PoolFiles
from velocity.storage.directory.images import Images, cloned, unpacked
from velocity.storage.directory.places import file_name
from velocity.storage.directory.pool import Directories, Directory
from velocity.storage.directory.told import told
from velocity.storage.formats import refused
from velocity.storage.inspect import inspect
from velocity.storage.port import Belongs, Clone, Import, Job, Made, MediaRef, Prepared, Progress, Unpack
from velocity.uninterrupted import whole

STEP = 256 << 20
"""Bytes that unpacking asks for at a time, as nobody knows how much it will be."""
BLOCK = 1 << 16


class Making:
    """One job. Whatever goes wrong, nothing of it remains."""

    def __init__(self, job: Job, source: Directory, target: Directory, images: Images) -> None:
        self._job = job
        self._source_files = source.files
        self._pool = target
        self._files = target.files
        self._images = images
        self._name = file_name(job.target)
        self._source = -1
        self._size = 0
        self._allowed = 0
        self._done = 0
        self._total = 0
        self._wants = 0
        self._changed = asyncio.Event()
        self._more = asyncio.Event()
        self._task: asyncio.Task[Made] | None = None
        self._given = False

    def open(self) -> None:
        """Open the source; in a thread."""
        with told(self._source_files.places):
            path = self._source_files.path(file_name(self._job.source))
            self._source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    async def look(self) -> Prepared:
        job, facts = self._job, os.fstat(self._source)
        takes = facts.st_blocks * 512
        if isinstance(job, Unpack):
            return Prepared(0, takes)
        if isinstance(job, Clone):
            return Prepared(facts.st_size, 0 if await self._pool.threads.run(self._is_shared) else takes)
        with told(self._source_files.places):
            size = await self._images.virtual_size(self._source, job.kind)
        if size < 1:
            raise refused("its disk has no size")
        return Prepared(size, takes)

    def _is_shared(self) -> bool:
        """Whether the file system needs no bytes for the same once more. In a thread."""
        if self._job.source.format != self._job.target.format:
            return False
        try:
            probe = os.open(self._pool.places.moving, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            return cloned(self._source, probe)
        finally:
            os.close(probe)

    def start(self, size: int) -> None:
        self._size = self._allowed = size
        self._task = asyncio.create_task(self._make())
        self._task.add_done_callback(lambda _: self._changed.set())

    def allow(self, size: int) -> None:
        self._allowed, self._wants = size, 0
        self._more.set()

    async def watch(self) -> AsyncGenerator[Progress | Made, None]:
        assert self._task is not None, "it was started"
        last: Progress | None = None
        while not self._task.done():
            await self._changed.wait()
            self._changed.clear()
            now = Progress(self._done, self._total, self._wants)
            if now != last:
                last = now
                yield now
        made = self._task.result()
        self._given = True
        yield made

    async def close(self) -> None:
        """End it. What was told as made stays."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            if not self._task.cancelled() and self._task.exception() is None and not self._given:
                await self._drop()
        self.let_go()

    async def _drop(self) -> None:
        await self._pool.threads.run(self._files.settle, self._name, Belongs.NOWHERE)

    def let_go(self) -> None:
        """Of the source."""
        if self._source >= 0:
            os.close(self._source)
            self._source = -1

    async def _make(self) -> Made:
        try:
            with told(self._files.places, self._size):
                size = await self._fill()
                content = await self._pool.threads.run(inspect, self._files.moving(self._name))
        except BaseException:
            await self._drop()
            raise
        return Made(size, content)

    async def _fill(self) -> int:
        job = self._job
        if isinstance(job, Unpack):
            return await self._unpack(job)
        self._total = self._size
        await self._pool.threads.run(self._files.create, self._name, self._size, job.target.format)
        foreign, kind = (True, job.kind) if isinstance(job, Import) else (False, job.source.format)
        await self._images.convert(
            self._source, kind, self._files.moving(self._name), job.target.format, self._size, self._tell,
            foreign=foreign,
        )  # fmt: skip
        return self._size

    async def _unpack(self, job: Unpack) -> int:
        """It may be no more than is allowed, and no more than the pool has free, sparse or not."""
        self._total = os.fstat(self._source).st_size
        most = await self._pool.threads.run(self._files.free)
        size = 0
        await self._pool.threads.run(self._files.create, self._name, 0, "raw")
        descriptor = os.open(self._files.moving(self._name), os.O_RDWR | os.O_CLOEXEC)
        try:
            async with aclosing(unpacked(self._source, job.kind, self._tell)) as pieces:
                async for piece in pieces:
                    if size + len(piece) > most:
                        raise _no_room(most)
                    if size + len(piece) > self._allowed:
                        await self._ask(min(self._allowed + STEP, most))
                    await self._pool.threads.run(_write, self._files, descriptor, piece, size)
                    size += len(piece)
            if not size:
                raise refused("it unpacks to an empty file")
            await self._pool.threads.run(_finish, self._files, descriptor, size)
        finally:
            os.close(descriptor)
        return size

    async def _ask(self, size: int) -> None:
        """Wait until it may take so many bytes in all."""
        self._wants = size
        while self._allowed < size:
            self._more.clear()
            self._changed.set()
            await self._more.wait()

    def _tell(self, done: int) -> None:
        self._done = done
        self._changed.set()


class DirectoryJobs:
    """Keeps `velocity.storage.port.Jobs`."""

    def __init__(self, directories: Directories, images: Images) -> None:
        self.images = images
        self._directories = directories
        self._jobs: dict[MediaRef, Making] = {}

    async def prepare(self, job: Job, *, deadline: float) -> Prepared:
        source, target = self._directories.get(job.source.pool), self._directories.get(job.target.pool)
        making = self._jobs[job.target] = Making(job, source, target, self.images)
        try:
            await source.threads.do(deadline, making.open, undo=lambda _: making.let_go())
            return await making.look()
        except BaseException:
            await self.cancel(job.target, deadline=deadline)
            raise

    async def start(self, target: MediaRef, size: int, *, deadline: float) -> None:
        self._get(target).start(size)

    async def allow(self, target: MediaRef, size: int, *, deadline: float) -> None:
        self._get(target).allow(size)

    async def watch(self, target: MediaRef) -> AsyncIterator[Progress | Made]:
        async with aclosing(self._get(target).watch()) as told:
            async for one in told:
                yield one

    async def cancel(self, target: MediaRef, *, deadline: float) -> None:
        if (making := self._jobs.pop(target, None)) is not None:
            await whole(making.close())
            self._directories.get(target.pool).retry()

    async def close(self) -> None:
        for target in list(self._jobs):
            await self.cancel(target, deadline=0)

    def _get(self, target: MediaRef) -> Making:
        try:
            return self._jobs[target]
        except KeyError:
            raise Refused(Problem.POOL_AWAY, "the host does not know this job: start it again") from None


def _no_room(left: int) -> Refused:
    return Refused(Problem.POOL_QUOTA, f"it unpacks to more than the {sizes.size(left)} free in the pool", field="mid")


def _write(files: PoolFiles, descriptor: int, piece: bytes, offset: int) -> None:
    """Blocks of zeros stay holes. Raises `Refused(POOL_QUOTA)` when the disk is full."""
    with told(files.places, offset + len(piece)):
        for at in range(0, len(piece), BLOCK):
            block = piece[at : at + BLOCK]
            if block.strip(b"\0"):
                os.pwrite(descriptor, block, offset + at)


def _finish(files: PoolFiles, descriptor: int, size: int) -> None:
    with told(files.places, size):
        os.ftruncate(descriptor, size)
        os.fsync(descriptor)
