"""Turning images into media: qemu-img in a process that may do little, and unpacking that stops at the quota.

The format is always stated, never probed. https://www.qemu.org/docs/master/tools/qemu-img.html
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import lzma
import os
import re
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from velocity.storage.directory.opened import Opened
from velocity.storage.directory.threads import GIVE_UP, Threads
from velocity.storage.formats import check_alone, refused
from velocity.unprivileged import unprivileged

AT_ONCE = 2
INFO_SECONDS = 20.0
PIECE = 1 << 20
MEMORY = 1 << 30
"""Bytes of address space that qemu-img gets, and bytes that unpacking may need."""
ARENA = {"MALLOC_ARENA_MAX": "1"}
"""Else glibc reserves 64 MiB of it for each of up to 64 threads, beside their stacks of 8. mallopt(3)"""
FICLONE = 0x40049409
"""ioctl_ficlone(2)"""

T = TypeVar("T")
Told = Callable[[int], None]


class ImageFile:
    """An open file of an image, and the threads of the pool that it lies in."""

    def __init__(self, file: Opened, threads: Threads) -> None:
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
    """

    def __init__(self, worker: int | None) -> None:
        self._worker = worker
        self.turns: defaultdict[tuple[int, int], asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(AT_ONCE))

    async def virtual_size(self, source: ImageFile, kind: str, pools: tuple[int, int]) -> int:
        """The size of the disk in the image, in bytes. Raises `Refused(NOT_AN_IMAGE)`, also if it names other files."""
        await source.do(self._lend)
        async with self.turns[pools]:
            return await self._look(source, kind)

    async def _look(self, source: ImageFile, kind: str) -> int:
        await source.do(_check_alone, kind)
        with source.file.use() as descriptor:
            words = ["info", "--output=json", _image(descriptor, kind)]
            facts = json.loads(await self._run(words, (descriptor,), 0, None))
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
        kind, format_, size, foreign = conversion.kind, conversion.format, conversion.size, conversion.foreign
        await source.do(self._lend)
        async with self.turns[pools]:
            if foreign and await self._look(source, kind) != size:
                raise refused("it has changed since it was inspected: import it again")
            with source.file.use() as read:
                if kind == format_ and await target.do(lambda write: cloned(read, write)):
                    if foreign:
                        await target.do(_check_alone, kind)
                    await target.do(os.fsync)
                    return
                await target.do(self._lend_to_write)
                words = ["convert", "-p", "-n", "--target-is-zero", "-O", format_, _image(read, kind)]
                with target.file.use() as write:
                    await self._run([*words, _name(write)], (read, write), size, told)
            if kind == format_ == "raw":  # qemu-img counts in sectors
                await target.do(os.ftruncate, size)
        await target.do(self._take_back)

    def _lend(self, source: int) -> None:
        """The worker may read it; its directory stays closed to it."""
        if self._worker is not None:
            os.fchown(source, -1, self._worker)
            os.fchmod(source, 0o640)

    def _lend_to_write(self, target: int) -> None:
        if self._worker is not None:
            os.fchown(target, self._worker, self._worker)

    def _take_back(self, target: int) -> None:
        """It is the server's alone again, and on the disk."""
        if self._worker is not None:
            os.fchown(target, os.getuid(), os.getgid())
        os.fsync(target)

    async def _run(self, words: list[str], files: tuple[int, ...], size: int, told: Told | None) -> str:
        """qemu-img without privileges, with bounded memory and files. What it printed; raises `Refused`."""
        limits = ["prlimit", f"--as={MEMORY}", "--core=0", f"--fsize={size + size // 64 + (64 << 20)}", "--"]
        try:
            process = await asyncio.create_subprocess_exec(
                *unprivileged(self._worker), *limits, "qemu-img", *words,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                pass_fds=files, env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", **ARENA},
            )  # fmt: skip
        except FileNotFoundError:
            raise refused("a required program is missing on the server: run `velocity doctor` there") from None
        assert process.stdout is not None
        assert process.stderr is not None
        errors = asyncio.create_task(process.stderr.read())
        try:
            async with asyncio.timeout(INFO_SECONDS if told is None else None):
                said = await _listen(process.stdout, size, told)
                await process.wait()
        except TimeoutError:
            raise refused("it could not be read in time") from None
        finally:
            await _killed(process)
            await asyncio.wait({errors}, timeout=GIVE_UP)
        if process.returncode:
            raise refused(_clean(errors.result().decode(errors="replace") if errors.done() else ""))
        return said


async def _killed(process: asyncio.subprocess.Process) -> None:
    """It has ended; or it hangs at a disk that does not answer, and ends by itself when that does."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.wait({asyncio.ensure_future(process.wait())}, timeout=GIVE_UP)


async def unpacked(source: ImageFile, kind: str, told: Told) -> AsyncGenerator[bytes, None]:
    """The content of a packed file, in pieces; `told` hears the bytes that were read of it. Raises `Refused`."""
    with source.file.use() as descriptor:
        async with contextlib.aclosing(_xz(source) if kind == "xz" else _zstd(descriptor)) as pieces:
            async for piece in pieces:
                told(os.lseek(descriptor, 0, os.SEEK_CUR))
                yield piece


async def _xz(source: ImageFile) -> AsyncGenerator[bytes, None]:
    """All streams of the file, one after the other."""
    unpack = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY)
    packed = b""
    try:
        while True:
            if unpack.eof:
                packed = unpack.unused_data.lstrip(b"\0") or await source.do(os.read, PIECE)
                if not packed.strip(b"\0"):
                    return
                unpack = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY)
            elif unpack.needs_input and not packed:
                packed = await source.do(os.read, PIECE)
                if not packed:
                    raise refused("the xz file is truncated")
            piece = await asyncio.to_thread(unpack.decompress, packed, PIECE)
            packed = b""
            if piece:
                yield piece
    except lzma.LZMAError as error:
        raise refused(f"the xz file cannot be unpacked ({error})") from None


async def _zstd(source: int) -> AsyncGenerator[bytes, None]:
    try:
        process = await asyncio.create_subprocess_exec(
            "zstd", "-dcq", f"--memory={MEMORY >> 20}MB", stdin=source, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
    except FileNotFoundError:
        raise refused("`zstd` is not installed on the server") from None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        while piece := await process.stdout.read(PIECE):
            yield piece
        if await process.wait():
            raise refused(_clean((await process.stderr.read()).decode(errors="replace")))
    finally:
        await _killed(process)


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
