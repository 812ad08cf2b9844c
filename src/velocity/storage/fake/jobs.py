"""Jobs in memory. No image is read: its disk is taken to be empty, and of the size that its header says."""

from __future__ import annotations

import asyncio
import lzma
import struct
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from velocity.contract.problems import Problem, Refused
from velocity.storage.fake.pools import FakeContent, FakeDevice, FakePool
from velocity.storage.formats import check_alone, refused
from velocity.storage.inspect import describe
from velocity.storage.port import Belongs, Clone, Import, Job, JobProgress, Made, MediaRef, Prepared, Unpack

SECONDS = 60.0
STEP = 1 << 20

T = TypeVar("T")


class FakeJob:
    """One job."""

    def __init__(self, line: FakeDevice, job: Job, source: FakeContent) -> None:
        self.job = job
        self.source = source
        self._line = line
        self._allowed = 0
        self._progress = JobProgress(0, 0)
        self._changed = asyncio.Event()
        self._more = asyncio.Event()
        self._task: asyncio.Task[Made] | None = None
        self._told = False

    def look(self) -> Prepared:
        """Raises `Refused`."""
        takes = self.source.stat.allocated
        if isinstance(self.job, Clone):
            return Prepared(self.source.size, takes)
        if isinstance(self.job, Unpack):
            return Prepared(0, takes)
        check_alone(self.job.kind, self.source.read)
        (size,) = struct.unpack(">Q", self.source.read(24, 8).ljust(8, b"\0"))
        if self.job.kind != "qcow2" or size < 1:
            raise refused("its disk has no size")
        return Prepared(size, takes)

    def start(self, size: int) -> None:
        self._allowed = size
        self._task = asyncio.create_task(self._make(size))
        self._task.add_done_callback(lambda _: self._changed.set())

    def allow(self, size: int) -> None:
        self._allowed = size
        self._more.set()

    async def watch(self) -> AsyncIterator[JobProgress | Made]:
        assert self._task is not None, "it was started"
        while not self._task.done():
            await self._changed.wait()
            self._changed.clear()
            yield self._progress
        made = self._task.result()
        self._told = True
        yield made

    async def close(self) -> None:
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait({self._task})
        if not self._task.cancelled() and self._task.exception() is None and not self._told:
            await self._line.settle(self.job.target, Belongs.NOWHERE, SECONDS)

    async def _make(self, size: int) -> Made:
        target = self.job.target
        try:
            made = await self._ask(lambda pool: pool.moving.setdefault(target, FakeContent()))
            if isinstance(self.job, Unpack):
                await self._unpack(self.job.kind, made)
            else:
                await self._copy(made, size)
            content = await self._ask(lambda _: describe(made.read, made.size))
        except BaseException:
            await self._line.settle(target, Belongs.NOWHERE, SECONDS)
            raise
        return Made(made.size if isinstance(self.job, Unpack) else size, content)

    async def _copy(self, made: FakeContent, size: int) -> None:
        source = FakeContent(size) if isinstance(self.job, Import) else self.source
        data = bytes(source.data)
        for at in range(0, len(data), STEP):
            piece = data[at : at + STEP]
            await self._append(made, piece)
            self._tell(at + len(piece), size)
        made.size = max(made.size, source.size)

    async def _unpack(self, kind: str, made: FakeContent) -> None:
        if kind != "xz":
            raise refused("storage in memory unpacks xz alone")
        unpack = lzma.LZMADecompressor(lzma.FORMAT_XZ)
        packed = bytes(self.source.data)
        try:
            while not unpack.eof:
                piece = unpack.decompress(packed, STEP)
                packed = b""
                if not piece and unpack.needs_input:
                    raise refused("the xz file is truncated")
                await self._wait_for(made.size + len(piece), made.stat.allocated)
                await self._append(made, piece)
        except lzma.LZMAError as error:
            raise refused(f"the xz file cannot be unpacked ({error})") from None
        if not made.size:
            raise refused("it unpacks to an empty file")

    async def _wait_for(self, size: int, taken: int) -> None:
        while size > self._allowed:
            self._more.clear()
            self._tell(0, self.source.size, size, size - taken)
            await self._more.wait()

    def _tell(self, done: int, total: int, wants: int = 0, room: int = 0) -> None:
        self._progress = JobProgress(done, total, wants, room)
        self._changed.set()

    async def _ask(self, deed: Callable[[FakePool], T], wanted: int = 0) -> T:
        return await self._line.call(self.job.target.pool, SECONDS, deed, wanted=wanted)

    async def _append(self, made: FakeContent, piece: bytes) -> None:
        await self._ask(lambda _: made.append(piece), len(piece))


class FakeJobs:
    """Keeps `velocity.storage.port.Jobs`."""

    def __init__(self, line: FakeDevice) -> None:
        self._line = line
        self._jobs: dict[MediaRef, FakeJob] = {}

    async def prepare(self, job: Job, *, deadline: float) -> Prepared:
        source = await self._line.call(job.source.pool, deadline, lambda pool: pool.get(job.source), writes=False)
        self._line.pool(job.target.pool)
        running = FakeJob(self._line, job, source)
        prepared = running.look()
        self._jobs[job.target] = running
        return prepared

    async def start(self, target: MediaRef, size: int, *, deadline: float) -> None:
        self._get(target).start(size)

    async def allow(self, target: MediaRef, size: int, *, deadline: float) -> None:
        self._get(target).allow(size)

    async def watch(self, target: MediaRef) -> AsyncIterator[JobProgress | Made]:
        async for one in self._get(target).watch():
            yield one

    async def cancel(self, target: MediaRef, *, deadline: float) -> None:
        if (running := self._jobs.pop(target, None)) is not None:
            await running.close()

    async def close(self) -> None:
        for target in list(self._jobs):
            await self.cancel(target, deadline=SECONDS)

    def _get(self, target: MediaRef) -> FakeJob:
        try:
            return self._jobs[target]
        except KeyError:
            raise Refused(Problem.POOL_AWAY, "the host does not know this job: start it again") from None
