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
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from velocity.storage.formats import check_alone, refused
from velocity.uninterrupted import in_thread
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

Told = Callable[[int], None]


class Images:
    """`worker` is the uid that images are read under, where the server may change it (as root)."""

    def __init__(self, worker: int | None) -> None:
        self._worker = worker
        self.turn = asyncio.Semaphore(AT_ONCE)

    async def virtual_size(self, source: int, kind: str) -> int:
        """The size of the disk in the image, in bytes. Raises `Refused(NOT_AN_IMAGE)`, also if it names other files."""
        await in_thread(self._lend, source)
        async with self.turn:
            return await self._look(source, kind)

    async def _look(self, source: int, kind: str) -> int:
        await in_thread(_check_alone, source, kind)
        facts = json.loads(await self._run(["info", "--output=json", _image(source, kind)], (source,), 0, None))
        inside = facts.get("format-specific", {}).get("data", {})
        if facts.get("backing-filename") or inside.get("data-file") or facts.get("encrypted"):
            raise refused("it refers to another file, or is encrypted")
        return int(facts["virtual-size"])

    async def convert(
        self, source: int, kind: str, target: Path, format_: str, size: int, told: Told, *, foreign: bool
    ) -> None:
        """Fill the target, which is there and empty. `told` hears the bytes done. Raises `Refused`.

        A `foreign` image is one that somebody has brought: it is looked at again in the step before, as it waited for
        its turn. Nobody may write to the source: see `velocity.media.sources`.
        """
        descriptor = os.open(target, os.O_RDWR | os.O_CLOEXEC)
        try:
            await in_thread(self._lend, source)
            async with self.turn:
                if foreign and await self._look(source, kind) != size:
                    raise refused("it has changed since it was inspected: import it again")
                if kind == format_ and await in_thread(cloned, source, descriptor):
                    if foreign:
                        await in_thread(_check_alone, descriptor, kind)
                    await in_thread(os.fsync, descriptor)
                    return
                await in_thread(self._lend_to_write, descriptor)
                words = ["convert", "-p", "-n", "--target-is-zero", "-O", format_, _image(source, kind)]
                await self._run([*words, _name(descriptor)], (source, descriptor), size, told)
                if kind == format_ == "raw":  # qemu-img counts in sectors
                    await in_thread(os.ftruncate, descriptor, size)
            await in_thread(self._take_back, descriptor)
        finally:
            os.close(descriptor)

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
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await asyncio.shield(process.wait())
            words_of_its_own = (await errors).decode(errors="replace")
        if process.returncode:
            raise refused(_clean(words_of_its_own))
        return said


async def unpacked(source: int, kind: str, told: Told) -> AsyncGenerator[bytes, None]:
    """The content of a packed file, in pieces; `told` hears the bytes that were read of it. Raises `Refused`."""
    async with contextlib.aclosing(_xz(source) if kind == "xz" else _zstd(source)) as pieces:
        async for piece in pieces:
            told(os.lseek(source, 0, os.SEEK_CUR))
            yield piece


async def _xz(source: int) -> AsyncGenerator[bytes, None]:
    """All streams of the file, one after the other."""
    unpack = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY)
    packed = b""
    try:
        while True:
            if unpack.eof:
                packed = unpack.unused_data.lstrip(b"\0") or await in_thread(os.read, source, PIECE)
                if not packed.strip(b"\0"):
                    return
                unpack = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY)
            elif unpack.needs_input and not packed:
                packed = await in_thread(os.read, source, PIECE)
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
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())


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
