"""Objects made from others, each in a job: imports and clones."""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from typing import Any

from velocity.contract.problems import Problem, Refused
from velocity.storage.archives import Member, disk_member
from velocity.storage.directory.disk_errors import as_refusals
from velocity.storage.directory.files import PoolFiles
from velocity.storage.directory.image_file import ImageFile
from velocity.storage.directory.images import Conversion, Images, cloned
from velocity.storage.directory.places import file_name
from velocity.storage.directory.pool import PoolDirectories, PoolDirectory
from velocity.storage.directory.shared_descriptor import SharedDescriptor
from velocity.storage.directory.threads import GIVE_UP
from velocity.storage.formats import PACKED, importable, refused
from velocity.storage.inspect import inspect_open
from velocity.storage.port import Belongs, Clone, Job, JobProgress, Made, MediaRef, Prepared, Unknown
from velocity.uninterrupted import whole

STEP = 256 << 20
"""Bytes that unpacking reserves at a time, as the total is not known; fewer if they are not free."""
BLOCK = 1 << 16
"""Bytes of unpacked data of which zeros become a hole, and the least that unpacking reserves."""
LAYERS = 5
"""Layers of packing and archives that are unpacked."""


class RunningJob:
    """One job. If it fails, nothing of it is left."""

    def __init__(self, job: Job, source: PoolDirectory, target: PoolDirectory, images: Images) -> None:
        self._job = job
        self._source_pool = source
        self._pool = target
        self.asked = target
        """The pool that `prepare` waits for."""
        self._files = target.files
        self._images = images
        self._name = file_name(job.target)
        self._source: SharedDescriptor | None = None
        self._kind = ""
        """For an import: what the source is."""
        self._size = 0
        self._allowed = 0
        self._done = 0
        self._total = 0
        self._wants = 0
        self._room = 0
        self._needs = 0
        self._step = STEP
        self._changed = asyncio.Event()
        self._more = asyncio.Event()
        self._task: asyncio.Task[Made] | None = None
        self._given = False

    def _open(self) -> None:
        """Open the source. Called in a thread."""
        files = self._source_pool.files
        with as_refusals(files.places):
            self._source = files.openings.read(file_name(self._job.source))

    async def prepare(self) -> Prepared:
        """Open and inspect the source."""
        await self._pool.threads.run(self._files.begin_anew, self._name)
        self.asked = self._source_pool
        await self._source_pool.threads.run(self._open, undo=lambda _: self.let_go())
        job, source = self._job, self._image()
        with as_refusals(self._source_pool.places):
            facts = await source.stat()
            takes = facts.allocated
            if isinstance(job, Clone):
                self.asked = self._pool
                beside = ImageFile(source.file, self._pool.threads)
                return Prepared(facts.size, 0 if await beside.do(self._is_shared) else takes)
            self._kind = await source.do(_kind, facts.size, None)
            if self._kind in ("tar", "zip"):
                await self._member_of(source, self._kind)
            if self._kind in PACKED:
                return Prepared(0, takes)
            size = await self._disk_size(source, self._kind)
        return Prepared(size, takes)

    async def _member_of(self, archive: ImageFile, kind: str) -> Member:
        """Limited, as parsing headers takes a thread of the pool and the server's CPU."""
        async with self._images.looks[self._pools]:
            return await archive.do(_member, (await archive.stat()).size, kind)

    async def _disk_size(self, image: ImageFile, kind: str) -> int:
        if kind == "raw":
            return (await image.stat()).size
        size = await self._images.virtual_size(image, kind, self._pools)
        if size < 1:
            raise refused("its disk has no size")
        return size

    def _image(self) -> ImageFile:
        assert self._source is not None, "it was opened"
        pool = self._source_pool
        return ImageFile(self._source, pool.threads, shared=pool.places.shared)

    @property
    def _pools(self) -> tuple[int, int]:
        return self._job.source.pool, self._job.target.pool

    @property
    def _is_compact(self) -> bool:
        return isinstance(self._job, Clone) and self._job.compact

    def _is_shared(self, source: int) -> bool:
        """Whether the file system can share the blocks, so that a copy needs no space. Called in a thread."""
        if self._job.source.format != self._job.target.format or self._is_compact:
            return False
        if (probe := self._files.openings.probe()) is None:
            return False
        try:
            with probe.use() as descriptor:
                return cloned(source, descriptor)
        finally:
            probe.close()

    def start(self, size: int) -> None:
        self._size = self._allowed = size
        self._task = asyncio.create_task(self._make())
        self._task.add_done_callback(lambda _: self._changed.set())

    def allow(self, size: int) -> None:
        if size < self._wants:
            self._step = max(BLOCK, self._step // 4)
        self._allowed, self._wants, self._room, self._needs = size, 0, 0, 0
        self._more.set()

    async def watch(self) -> AsyncGenerator[JobProgress | Made, None]:
        assert self._task is not None, "it was started"
        last: JobProgress | None = None
        while not self._task.done():
            await self._changed.wait()
            self._changed.clear()
            now = JobProgress(self._done, self._total, self._wants, self._room, self._needs)
            if now != last:
                last = now
                yield now
        made = self._task.result()
        self._given = True
        yield made

    async def close(self) -> None:
        """End the job, however long that takes. A result that was reported stays."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            if not self._task.cancelled() and self._task.exception() is None and not self._given:
                await self._drop()
        self.let_go()

    async def _drop(self) -> None:
        with suppress(Unknown):  # it will be done later
            await self._pool.threads.do(GIVE_UP, self._remove)

    def _remove(self, _: object = None) -> None:
        self._files.settle(self._name, Belongs.NOWHERE)

    def let_go(self) -> None:
        """Close the source."""
        if self._source is not None:
            self._source.close()

    async def _make(self) -> Made:
        try:
            with as_refusals(self._files.places, self._size, self._files.fullness.heard):
                size = await self._fill()
                content = await self._pool.threads.run(
                    self._files.openings.inspect, self._name, self._job.target.format
                )
        except BaseException:
            await self._drop()
            raise
        return Made(size, content)

    async def _fill(self) -> int:
        if isinstance(self._job, Clone):
            return await self._convert(self._image(), self._job.source.format, foreign=False)
        layer, kind = self._image(), self._kind
        async with AsyncExitStack() as held:
            for _ in range(LAYERS):
                if kind not in PACKED:
                    break
                async with self._target(0, "raw") as target:
                    packed_in = kind
                    size = await self._unpack(layer, packed_in, target)
                    kind = await target.do(_kind, size, packed_in)
                    if kind == self._job.target.format == "raw":
                        await target.do(_sync, self._files, size)
                        return size
                    unpacked = await self._pool.threads.run(self._take_out, undo=SharedDescriptor.close)
                    held.callback(unpacked.close)
                    layer = ImageFile(unpacked, self._pool.threads)
            if kind in PACKED:
                raise refused(f"it is packed more than {LAYERS} times: unpack it first")
            if layer.file is not self._source:
                self._size = await self._disk_size(layer, kind)
                await self._ask(self._size, self._size, (await layer.stat()).allocated)
            return await self._convert(layer, kind, foreign=kind != "raw")

    async def _convert(self, image: ImageFile, kind: str, *, foreign: bool) -> int:
        self._done, self._total = 0, self._size
        format_ = self._job.target.format
        conversion = Conversion(kind, format_, self._size, foreign, self._is_compact)
        async with self._target(self._size, format_) as target:
            await self._images.convert(image, target, conversion, self._pools, self._tell)
        return self._size

    def _take_out(self) -> SharedDescriptor:
        """The unpacked data, open for reading, without a name."""
        with as_refusals(self._files.places):
            return self._files.openings.take_out(self._name)

    @asynccontextmanager
    async def _target(self, size: int, format_: str) -> AsyncIterator[ImageFile]:
        """The open target."""

        def create() -> SharedDescriptor:
            self._files.create(self._name, size, format_)
            return self._files.openings.fill(self._name)

        def undo(created: SharedDescriptor) -> None:
            created.close()
            self._remove()

        created = await self._pool.threads.run(create, undo=undo)
        try:
            yield ImageFile(created, self._pool.threads)
        finally:
            created.close()

    async def _unpack(self, layer: ImageFile, kind: str, target: ImageFile) -> int:
        """Write the unpacked data. Raises `Refused` if it exceeds what is allowed."""
        member = await self._member_of(layer, kind) if kind in ("tar", "zip") else None
        self._done, self._total = 0, (await layer.stat()).size
        size = sum_ = 0
        async with aclosing(self._images.unpacked(layer, kind, self._tell, member)) as pieces:
            async for piece in pieces:
                if size + len(piece) > self._allowed:
                    taken = (await target.stat()).allocated
                    most = taken + await self._pool.threads.run(self._files.free)
                    wants = max(size + len(piece), min(self._allowed + self._step, most))
                    await self._ask(size + len(piece), wants, max(0, wants - taken))
                await target.do(_write, self._files, piece, size)
                size += len(piece)
                if member is not None:
                    sum_ = zlib.crc32(piece, sum_)
        if member is not None and member.size is not None and (size, sum_) != (member.size, member.crc):
            raise refused(f"the {kind} file is damaged: copy or download it again")
        if not size:
            raise refused("it unpacks to an empty file")
        with as_refusals(self._files.places, size, self._files.fullness.heard):
            await target.truncate(size)
        return size

    async def _ask(self, size: int, wants: int, room: int) -> None:
        """Wait for permission to use so many bytes in total; it `wants` more at once, with `room` free bytes."""
        while self._allowed < size:
            self._wants, self._room, self._needs = wants, room, size
            self._more.clear()
            self._changed.set()
            await self._more.wait()

    def _tell(self, done: int) -> None:
        self._done = done
        self._changed.set()


class DirectoryJobs:
    """Implements `velocity.storage.port.Jobs`."""

    def __init__(self, directories: PoolDirectories, images: Images) -> None:
        self.images = images
        self._directories = directories
        self._jobs: dict[MediaRef, RunningJob] = {}
        self._ending: set[asyncio.Task[Any]] = set()

    async def prepare(self, job: Job, *, deadline: float) -> Prepared:
        source, target = self._directories.get(job.source.pool), self._directories.get(job.target.pool)
        running = self._jobs[job.target] = RunningJob(job, source, target, self.images)
        preparing = asyncio.create_task(running.prepare())
        try:
            await asyncio.wait({preparing}, timeout=deadline)
            if not preparing.done():
                raise running.asked.threads.unknown()
            return preparing.result()
        except BaseException:
            preparing.cancel()
            self._end_behind({preparing})
            await self.cancel(job.target, deadline=deadline)
            raise

    async def start(self, target: MediaRef, size: int, *, deadline: float) -> None:
        self._get(target).start(size)

    async def allow(self, target: MediaRef, size: int, *, deadline: float) -> None:
        self._get(target).allow(size)

    async def watch(self, target: MediaRef) -> AsyncIterator[JobProgress | Made]:
        async with aclosing(self._get(target).watch()) as told:
            async for one in told:
                yield one

    async def cancel(self, target: MediaRef, *, deadline: float) -> None:
        if (running := self._jobs.pop(target, None)) is not None:
            closing = asyncio.create_task(running.close())
            self._end_behind({closing})
            await whole(asyncio.wait({closing}, timeout=deadline))
            self._directories.get(target.pool).retry()

    def _end_behind(self, tasks: set[asyncio.Task[Any]]) -> None:
        """Keep these tasks until they have ended, although nobody waits for them any more."""
        self._ending |= tasks
        for task in tasks:
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._ending.discard(task)
        if not task.cancelled():
            task.exception()  # it was reported, or nobody asks for it any more

    async def close(self) -> None:
        """End all jobs, without waiting for one that hangs."""
        await asyncio.gather(*(self.cancel(target, deadline=GIVE_UP) for target in list(self._jobs)))

    def _get(self, target: MediaRef) -> RunningJob:
        try:
            return self._jobs[target]
        except KeyError:
            raise Refused(Problem.TASK_NOT_FOUND, "the host does not know this job: start it again") from None


def _write(descriptor: int, files: PoolFiles, piece: bytes, offset: int) -> None:
    """Write a piece; zeros become holes. Raises `Refused(POOL_QUOTA)` if the disk is full."""
    with as_refusals(files.places, offset + len(piece), files.fullness.heard):
        for at in range(0, len(piece), BLOCK):
            block = piece[at : at + BLOCK]
            if block.strip(b"\0"):
                os.pwrite(descriptor, block, offset + at)


def _sync(descriptor: int, files: PoolFiles, size: int) -> None:
    with as_refusals(files.places, size, files.fullness.heard):
        os.fsync(descriptor)


def _kind(descriptor: int, size: int, packed_in: str | None) -> str:
    """How to import these bytes. Raises `Refused(NOT_AN_IMAGE)`."""
    return importable(inspect_open(descriptor, size=size), size, packed_in)


def _member(descriptor: int, size: int, kind: str) -> Member:
    return disk_member(kind, lambda offset, length: os.pread(descriptor, length, offset), size)
