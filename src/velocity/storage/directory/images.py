"""Turning images into media: by programs that may do little, and unpacking that stops at the quota.

The format is always stated, never probed. https://www.qemu.org/docs/master/tools/qemu-img.html
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from velocity.storage.directory.shared_descriptor import SharedDescriptor
from velocity.storage.directory.threads import Threads
from velocity.storage.formats import check_alone, refused
from velocity.unprivileged import MEMORY, Bounds, own_uid, running

AT_ONCE, LOOKS = 3, 2
INFO_SECONDS = 20.0
PIECE = 1 << 20
UNPACK = {
    "xz": ["xz", "-dcq", f"--memlimit-decompress={MEMORY}"],
    "zstd": ["zstd", "-dcq", f"--memory={MEMORY >> 20}MB"],
}
"""From standard input to standard output."""
ARENAS = "1"
"""Else glibc reserves 64 MiB of address space for each of up to 64 threads, beside their stacks of 8. mallopt(3)"""
FICLONE = 0x40049409
"""ioctl_ficlone(2)"""

T = TypeVar("T")
Told = Callable[[int], None]


class ImageFile:
    """An open file of an image, and the threads of the pool that it lies in."""

    def __init__(self, file: SharedDescriptor, threads: Threads) -> None:
        self.file = file
        self._threads = threads

    async def do(self, work: Callable[..., T], *arguments: Any) -> T:
        """Work on its descriptor, which comes first. Who is cancelled meanwhile goes when it has ended, or hangs."""

        def work_on() -> T:
            with self.file.use() as descriptor:
                return work(descriptor, *arguments)

        return await self._threads.run(work_on)


@dataclass(frozen=True)
class Conversion:
    """From `kind` to `format`, of a disk of `size` bytes.

    A `foreign` image is one that somebody has brought: it is looked at again in the step before, as it waited for its
    turn.
    """

    kind: str
    format: str
    size: int
    foreign: bool


class Images:
    """`worker` is the uid that images are read under, where the server may change it (as root).

    `turns`: so many at once of those that read in one pool and write in another, as one pool that hangs would keep all.
    Who only looks, for seconds, does not wait for those that convert, for hours.
    """

    def __init__(self, worker: int | None) -> None:
        self._worker = worker
        self._readers: Counter[tuple[int, int]] = Counter()
        self.turns: defaultdict[tuple[int, int], asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(AT_ONCE))
        self._looks: defaultdict[tuple[int, int], asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(LOOKS))

    async def virtual_size(self, source: ImageFile, kind: str, pools: tuple[int, int]) -> int:
        """The size of the disk in the image, in bytes. Raises `Refused(NOT_AN_IMAGE)`, also if it names other files."""
        async with self._lent(source), self._looks[pools]:
            with own_uid(self._worker) as uid:
                return await self._look(source, kind, uid)

    async def _look(self, source: ImageFile, kind: str, uid: int | None) -> int:
        await source.do(_check_alone, kind)
        with source.file.use() as descriptor:
            words = ["info", "--output=json", _image(descriptor, kind)]
            facts = json.loads(await self._run(uid, words, (descriptor,), 0, None))
        inside = facts.get("format-specific", {}).get("data", {})
        if facts.get("backing-filename") or inside.get("data-file") or facts.get("encrypted"):
            raise refused("it refers to another file, or is encrypted")
        return int(facts["virtual-size"])

    async def convert(
        self, source: ImageFile, target: ImageFile, conversion: Conversion, pools: tuple[int, int], told: Told
    ) -> None:
        """Fill the target, which is there and empty. `told` hears the bytes done. Raises `Refused`.

        Nobody may write to the source: see `velocity.media.sources`.
        """
        async with self._lent(source), self.turns[pools]:
            with own_uid(self._worker) as uid:
                await self._convert(source, target, conversion, uid, told)
        await target.do(self._finish)

    async def _convert(
        self, source: ImageFile, target: ImageFile, conversion: Conversion, uid: int | None, told: Told
    ) -> None:
        kind, format_, size = conversion.kind, conversion.format, conversion.size
        if conversion.foreign and await self._look(source, kind, uid) != size:
            raise refused("it has changed since it was inspected: import it again")
        with source.file.use() as read:
            if kind == format_ and await target.do(lambda write: cloned(read, write)):
                if conversion.foreign:
                    await target.do(_check_alone, kind)
                return
            if uid is not None:
                await target.do(os.fchown, uid, -1)
            words = ["convert", "-p", "-n", "--target-is-zero", "-O", format_, _image(read, kind)]
            with target.file.use() as write:
                await self._run(uid, [*words, _name(write)], (read, write), size, told)
        if kind == format_ == "raw":  # qemu-img counts in sectors
            await target.do(os.ftruncate, size)

    @contextlib.asynccontextmanager
    async def _lent(self, source: ImageFile) -> AsyncIterator[None]:
        """Within, programs that get it as a descriptor may open it anew; they see no directory that it is in."""
        if self._worker is None:
            yield
            return
        facts = await source.do(os.fstat)
        file = facts.st_dev, facts.st_ino
        self._readers[file] += 1
        try:
            await source.do(lend, self._worker)
            yield
        finally:
            self._readers[file] -= 1
            if not self._readers[file]:
                del self._readers[file]
                with contextlib.suppress(OSError):  # it is when the pool is opened next
                    await source.do(take_back)

    def _finish(self, target: int) -> None:
        """It is the server's alone again, and on the disk."""
        if self._worker is not None:
            take_back(target)
        os.fsync(target)

    async def _run(
        self, uid: int | None, words: list[str], files: tuple[int, ...], size: int, told: Told | None
    ) -> str:
        """qemu-img without privileges. What it printed; raises `Refused`."""
        bounds = Bounds(file=size + size // 64 + (64 << 20))
        try:
            async with running(
                self._worker, uid, ["qemu-img", *words], bounds, files=files, MALLOC_ARENA_MAX=ARENAS
            ) as program:
                async with asyncio.timeout(INFO_SECONDS if told is None else None):
                    said = await _listen(program.stdout, size, told)
                    status = await program.wait()
                if status:
                    raise refused(_clean(await program.complaints()))
                return said
        except FileNotFoundError:
            raise refused("a required program is missing on the server: run `velocity doctor` there") from None
        except TimeoutError:
            raise refused("it could not be read in time") from None

    async def unpacked(self, source: ImageFile, kind: str, told: Told) -> AsyncGenerator[bytes, None]:
        """The content of a packed file, in pieces; `told` hears the bytes that were read of it. Raises `Refused`."""
        words = UNPACK[kind]
        try:
            with source.file.use() as descriptor, own_uid(self._worker) as uid:
                bounds = Bounds(memory=2 * MEMORY)
                async with running(self._worker, uid, words, bounds, stdin=descriptor) as program:
                    while piece := await program.stdout.read(PIECE):
                        told(os.lseek(descriptor, 0, os.SEEK_CUR))
                        yield piece
                    if await program.wait():
                        raise refused(_broken(kind, await program.complaints()))
        except FileNotFoundError:
            raise refused(f"`{words[0]}` is not installed on the server") from None


async def _listen(stream: asyncio.StreamReader, size: int, told: Told | None) -> str:
    said = b""
    while piece := await stream.read(4096):
        if told is None:
            said += piece
        elif percents := re.findall(rb"\((\d+\.\d+)/100%\)", piece):
            told(int(size * float(percents[-1]) / 100))
    return said.decode(errors="replace")


def cloned(source: int, target: int) -> bool:
    """Share the blocks where the file system can: done at once, without a byte copied."""
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError:
        return False
    return True


def lend(file: int, worker: int) -> None:
    """Its group may read it. Raises `OSError`."""
    os.fchown(file, -1, worker)
    os.fchmod(file, 0o640)


def take_back(file: int) -> None:
    """It is the server's alone again. Raises `OSError`."""
    os.fchown(file, os.geteuid(), os.getegid())
    os.fchmod(file, 0o600)


def _check_alone(descriptor: int, kind: str) -> None:
    check_alone(kind, lambda offset, length: os.pread(descriptor, length, offset))


def _image(descriptor: int, kind: str) -> str:
    """The image with its format stated, and without a backing file whatever it says."""
    node = {"driver": kind, "backing": None, "file": {"driver": "file", "filename": _name(descriptor)}}
    return "json:" + json.dumps(node)


def _name(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"


def _clean(words: str) -> str:
    """qemu-img's own words, without the paths of the host."""
    last = words.strip().splitlines()[-1] if words.strip() else "it is damaged"
    return re.sub(r"json:\{.*\}|/proc/self/fd/\d+", "the image", last)


def _broken(kind: str, words: str) -> str:
    """What is wrong with a packed file, as its program says."""
    if re.search("unexpected end|premature end", words, re.IGNORECASE):
        return f"the {kind} file is truncated"
    last = words.strip().splitlines()[-1] if words.strip() else "it is damaged"
    return f"the {kind} file cannot be unpacked ({last.rpartition(' : ' if kind == 'zstd' else ': ')[2].strip()})"
