"""Jobs in memory. Images are not read: of qcow2, the disk counts as empty, with the size in the header."""

from __future__ import annotations

import asyncio
import lzma
import struct
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from velocity.contract.problems import Problem, Refused
from velocity.storage.fake.pools import FakeContent, FakeDevice, FakePool, begin_anew
from velocity.storage.formats import PACKED, check_alone, importable, refused
from velocity.storage.inspect import describe
from velocity.storage.port import Belongs, Clone, Job, JobProgress, Made, MediaRef, Prepared

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
        """Inspect the source. Raises `Refused`."""
        takes = self.source.stat.allocated
        if isinstance(self.job, Clone):
            return Prepared(self.source.size, takes)
        kind = _kind(self.source, None)
        return Prepared(0 if kind in PACKED else _disk_size(self.source, kind), takes)

    def start(self, size: int) -> None:
        self._allowed = size
        self._task = asyncio.create_task(self._make())
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

    async def _make(self) -> Made:
        target, made = self.job.target, FakeContent()
        try:
            await self._line.call(
                target.pool, SECONDS, lambda pool: pool.moving.update({target: made}),
                lambda pool: pool.moving.pop(target, None), wanted=0,
            )  # fmt: skip
            source, kind = self.source, "raw" if isinstance(self.job, Clone) else _kind(self.source, None)
            if kind in PACKED:
                await self._unpack(kind, made)
                source, kind = made, _kind(made, kind)
            if kind in PACKED:
                raise refused("storage in memory unpacks once")
            if kind != "raw":
                source = FakeContent(_disk_size(source, kind))
                await self._wait_for(source.size, 0)
                made.size, made.data = 0, bytearray()
            if source is not made:
                await self._copy(source, made, source.size)
            content = await self._ask(lambda _: describe(made.read, made.size, made.next_data))
        except BaseException:
            await self._line.settle(target, Belongs.NOWHERE, SECONDS)
            raise
        return Made(made.size, content)

    async def _copy(self, source: FakeContent, made: FakeContent, size: int) -> None:
        data = bytes(source.data)
        for at in range(0, len(data), STEP):
            piece = data[at : at + STEP]
            await self._append(made, piece)
            self._tell(at + len(piece), size)
        made.size = max(made.size, source.size)

    async def _unpack(self, kind: str, made: FakeContent) -> None:
        if kind != "xz":
            raise refused("storage in memory unpacks xz alone")
        packed = bytes(self.source.data).ljust(self.source.size, b"\0")
        try:
            while packed:
                unpack = lzma.LZMADecompressor(lzma.FORMAT_XZ)
                while not unpack.eof:
                    piece = unpack.decompress(packed, STEP)
                    packed = b""
                    if not piece and unpack.needs_input:
                        raise refused("the xz file is truncated")
                    await self._wait_for(made.size + len(piece), made.stat.allocated)
                    await self._append(made, piece)
                packed = unpack.unused_data.lstrip(b"\0")
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
        await self._ask(lambda _: made.write(made.size, piece), len(piece))


def _kind(content: FakeContent, packed_in: str | None) -> str:
    described = describe(content.read, content.size, content.next_data)
    return importable(described, content.size, packed_in)


def _disk_size(content: FakeContent, kind: str) -> int:
    if kind == "raw":
        return content.size
    check_alone(kind, content.read)
    (size,) = struct.unpack(">Q", content.read(24, 8).ljust(8, b"\0"))
    if kind != "qcow2" or size < 1:
        raise refused("its disk has no size")
    return int(size)


class FakeJobs:
    """Implements `velocity.storage.port.Jobs`."""

    def __init__(self, line: FakeDevice) -> None:
        self._line = line
        self._jobs: dict[MediaRef, FakeJob] = {}

    async def prepare(self, job: Job, *, deadline: float) -> Prepared:
        source = await self._line.call(job.source.pool, deadline, lambda pool: pool.get(job.source), writes=False)
        begin_anew(self._line.pool(job.target.pool), job.target)
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
            raise Refused(Problem.TASK_NOT_FOUND, "the host does not know this job: start it again") from None
