"""Converts images into media, with confined programs; unpacking stops at the quota.

Formats are always given, never probed. https://www.qemu.org/docs/master/tools/qemu-img.html
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import json
import os
import re
import shlex
import shutil
import signal
import struct
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

from msgspec import Struct

from velocity.contract.problems import Problem, Refused
from velocity.storage.archives import Member
from velocity.storage.directory.image_file import ImageFile
from velocity.storage.directory.qemu_img_words import meaning
from velocity.storage.directory.unpackers import command, failure, program
from velocity.storage.formats import IMAGES, check_alone, has_other_data, refused
from velocity.storage.whole import AGAIN, check_qcow2, check_whole
from velocity.unprivileged import MEMORY, Bounds, own_uid, running

AT_ONCE, LOOKS = 3, 2
"""Conversions, and inspections, at a time for each pair of pools."""
INFO_SECONDS = 20.0
"""Seconds for an inspection."""
PIECE = 1 << 20
"""Bytes of a program's output that are kept."""
CHECKED = frozenset({"qcow2", "vmdk", "vhdx"})
"""Images that qemu-img can check for completeness."""
LOOKED = (0, 2, 3, 63)
"""Exit statuses of `qemu-img check` after a check: fine, damaged, leaked clusters, format not supported."""
NO_ROOM = os.strerror(errno.ENOSPC)
ARENAS = "1"
"""Otherwise glibc reserves 64 MiB of address space for each of up to 64 threads, beside stacks of 8 MiB. mallopt(3)"""
FICLONE = 0x40049409
"""ioctl_ficlone(2)"""
COPY = ("-C",)
"""Use copy_file_range(2) where possible; holes are kept."""
ANY_ORDER = ("-W", "-m", "16")
"""Write out of order, for raw targets only: a qcow2 image would become fragmented."""

Told = Callable[[int], None]


class Conversion(Struct, frozen=True):
    """A conversion from `kind` to `format`, of a disk of `size` bytes.

    `foreign`: the image is untrusted, and is inspected again right before, as it may have changed while waiting.
    `compact`: it is rewritten even if the format stays the same.
    """

    kind: str
    format: str
    size: int
    foreign: bool
    compact: bool = False


class Images:
    """`worker` is the uid for programs that read images; None if the server cannot change it.

    `turns` limits conversions by source and target pool, so that a pool that hangs does not block others. Inspections
    take seconds and have limits of their own (`looks`), so that they do not wait for conversions of hours.
    """

    def __init__(self, worker: int | None) -> None:
        self._worker = worker
        self._readers: Counter[tuple[int, int]] = Counter()
        self.turns: defaultdict[tuple[int, int], asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(AT_ONCE))
        self.looks: defaultdict[tuple[int, int], asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(LOOKS))

    async def virtual_size(self, source: ImageFile, kind: str, pools: tuple[int, int]) -> int:
        """The size of the image's disk, in bytes. Raises `Refused(NOT_AN_IMAGE)`, also if it refers to other files."""
        async with self._lent(source), self.looks[pools]:
            with own_uid(self._worker) as uid:
                return await self._look(source, kind, uid)

    async def _look(self, source: ImageFile, kind: str, uid: int | None) -> int:
        await source.do(_check_alone, kind)
        await source.do(_check_whole, kind, (await source.stat()).size)
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
        """Write the converted image into the empty target. `told` gets the bytes done. Raises `Refused`.

        Nobody may write to the source: see `velocity.media.sources`.
        """
        async with self._lent(source), self.turns[pools]:
            with own_uid(self._worker) as uid:
                await self._convert(source, target, conversion, uid, told)
        await target.do(self._finish)

    async def grow(self, image: ImageFile, size: int, pool: int) -> None:
        """Enlarge a qcow2 medium's disk to so many bytes, durably; a larger one is not changed. Raises `Refused`.

        qemu-img writes new tables before the header that refers to them: if interrupted, the disk has the old or the
        new size.
        """
        async with self.looks[pool, pool]:
            await image.do(_check_own_data)
            (has,) = struct.unpack(">Q", await image.do(os.pread, 8, 24))
            if has >= size:
                return
            with own_uid(self._worker) as uid, image.file.use() as descriptor:
                try:
                    if uid is not None:
                        await image.do(os.fchown, uid, -1)
                    words = ["resize", "-q", _image(descriptor, "qcow2"), str(size)]
                    await self._run(uid, words, (descriptor,), size, None, done="enlarged")
                finally:
                    await image.do(self._finish)

    async def _convert(
        self, source: ImageFile, target: ImageFile, conversion: Conversion, uid: int | None, told: Told
    ) -> None:
        kind, format_, size = conversion.kind, conversion.format, conversion.size
        length = (await source.stat()).size
        same = kind == format_ and length <= most(size) and not conversion.compact
        if conversion.foreign:
            if await self._look(source, kind, uid) != size:
                raise refused("it has changed since it was inspected: import it again")
            same &= await self._check(source, kind, uid)
        elif kind == "qcow2":
            await source.do(_check_own_data)
        if same:
            await self._copy(source, target, length, conversion, uid, told)
            return
        with source.file.use() as read:
            words = [*(ANY_ORDER if format_ == "raw" else ()), "-O", format_, _image(read, kind)]
            await self._write(target, words, read, conversion, uid, told)

    async def _copy(
        self, source: ImageFile, target: ImageFile, length: int, conversion: Conversion, uid: int | None, told: Told
    ) -> None:
        """Copy the file as it is."""
        with source.file.use() as read:
            await target.truncate(0)
            if not await target.do(lambda write: cloned(read, write)):
                await target.truncate(length)
                words = [*COPY, "-O", "raw", _image(read, "raw")]
                await self._write(target, words, read, conversion, uid, told)
                await target.truncate(length)  # qemu-img uses whole sectors
        if conversion.foreign:
            await target.do(_check_alone, conversion.kind)

    async def _write(
        self, target: ImageFile, words: list[str], read: int, conversion: Conversion, uid: int | None, told: Told
    ) -> None:
        if uid is not None:
            await target.do(os.fchown, uid, -1)
        with target.file.use() as write:
            words = ["convert", "-p", "-n", "--target-is-zero", *words, _name(write)]
            done = "imported" if conversion.foreign else "cloned"
            async with target.flushed():
                await self._run(uid, words, (read, write), conversion.size, told, done=done)

    async def _check(self, source: ImageFile, kind: str, uid: int | None) -> bool:
        """Raises `Refused` if the image is not complete.

        Returns whether it can be used as it is: not if it contains snapshots, or compressed data, which every read
        would have to unpack.
        """
        if kind not in CHECKED:
            return True
        with source.file.use() as descriptor:
            words = ["check", "--output=json", _image(descriptor, kind)]
            said = await self._run(uid, words, (descriptor,), 0, lambda _: None, fine=LOOKED)
        found = json.loads(said) if said.strip() else {}
        if kind == "qcow2":
            return await source.do(_check_qcow2, (await source.stat()).size, found)
        if found.get("corruptions") or found.get("check-errors"):
            raise refused(f"it is cut short or damaged: {AGAIN}")
        return True

    @contextlib.asynccontextmanager
    async def _lent(self, source: ImageFile) -> AsyncIterator[None]:
        """Within, programs that get the descriptor may open it anew; they see no directory with it.

        In a shared pool they keep that permission: another host may be reading it, too.
        """
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
                with contextlib.suppress(OSError):  # otherwise when the pool is opened next
                    if not source.shared:
                        await source.do(take_back)

    def _finish(self, target: int) -> None:
        """Make it the server's alone again, and durable."""
        if self._worker is not None:
            take_back(target)
        os.fsync(target)

    async def _run(
        self,
        uid: int | None,
        words: list[str],
        files: tuple[int, ...],
        size: int,
        told: Told | None,
        fine: tuple[int, ...] = (0,),
        done: str = "imported",
    ) -> str:
        """Run qemu-img without privileges; returns its output. Raises `Refused` unless the exit status is in `fine`.

        `told` gets the bytes done; without it, the program has only seconds. `done`: see `refused`.
        """
        bounds = Bounds(file=most(size))
        try:
            async with running(
                self._worker, uid, ["qemu-img", *words], bounds, files=files, MALLOC_ARENA_MAX=ARENAS
            ) as process:
                async with asyncio.timeout(INFO_SECONDS if told is None else None):
                    said = await _listen(process.stdout, size, told)
                    status = await process.wait()
                _check_own_end(status)
                if status not in fine:
                    complaints = await process.complaints()
                    if NO_ROOM in complaints:
                        raise OSError(errno.ENOSPC, NO_ROOM)
                    raise refused(meaning(complaints), done)
                return said
        except FileNotFoundError:
            raise refused("a required program is missing on the server: run `velocity doctor` there", done) from None
        except TimeoutError:
            raise refused("it could not be read in time", done) from None

    async def unpacked(
        self, source: ImageFile, kind: str, told: Told, member: Member | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The content of a packed file or an archive's member, in pieces. Raises `Refused`.

        `told` gets the bytes read from the source.
        """
        needed = program(kind, member)
        if shutil.which(needed) is None:
            raise refused(f"`{needed}` is not installed on the server")
        words = command(kind, member)
        if (size := (await source.stat()).size) != (await source.do(os.fstat)).st_size:  # padded
            words = ["sh", "-c", f"head -c {size} | {shlex.join(words)}"]
        with source.file.use() as descriptor, own_uid(self._worker) as uid:
            bounds = Bounds(memory=2 * MEMORY)
            async with running(self._worker, uid, words, bounds, stdin=descriptor) as process:
                while piece := await process.stdout.read(PIECE):
                    told(os.lseek(descriptor, 0, os.SEEK_CUR))
                    yield piece
                status = await process.wait()
                _check_own_end(status)
                if (why := failure(kind, member, status, await process.complaints())) is not None:
                    raise refused(why)


def _check_own_end(status: int) -> None:
    """Raises `Refused` if the program or its shell was killed from outside, which says nothing about its input."""
    if {-status, status - 128} & {signal.SIGKILL, signal.SIGTERM}:
        raise Refused(
            Problem.UNAVAILABLE,
            "the host has ended a program that reads images, as it does for want of memory; nothing was changed: try "
            "again later",
        )


async def _listen(stream: asyncio.StreamReader, size: int, told: Told | None) -> str:
    """The output, without the progress, which goes to `told`."""
    said = b""
    while piece := await stream.read(4096):
        if size and told is not None and (percents := re.findall(rb"\((\d+\.\d+)/100%\)", piece)):
            told(int(size * float(percents[-1]) / 100))
        elif len(said) < PIECE:
            said += piece
    return said.decode(errors="replace")


def most(size: int) -> int:
    """The largest file that an image of a disk of this size may have, in bytes."""
    return size + size // 64 + (64 << 20)


def cloned(source: int, target: int) -> bool:
    """Share the blocks, without copying, if the file system can; returns whether it has."""
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError:
        return False
    return True


def lend(file: int, worker: int) -> None:
    """Let its group read it. Raises `OSError`."""
    os.fchown(file, -1, worker)
    os.fchmod(file, 0o640)


def take_back(file: int) -> None:
    """Let only the server read it again. Raises `OSError`."""
    os.fchown(file, os.geteuid(), os.getegid())
    os.fchmod(file, 0o600)


def _check_own_data(descriptor: int) -> None:
    """Check a medium's header, which its guest's QEMU process may have replaced. Raises `Refused`."""
    head = os.pread(descriptor, 80, 0)
    if len(head) < 80 or has_other_data(head):
        raise refused("its header is invalid, or its data is in another file", done="cloned")


def _check_alone(descriptor: int, kind: str) -> None:
    check_alone(kind, lambda offset, length: os.pread(descriptor, length, offset))


def _check_whole(descriptor: int, kind: str, size: int) -> None:
    check_whole(kind, lambda offset, length: os.pread(descriptor, length, offset), size)


def _check_qcow2(descriptor: int, size: int, found: dict[str, Any]) -> bool:
    """Raises `Refused` for compressed data or snapshots. qcow2.txt, "Header": nb_snapshots"""
    check_qcow2(lambda offset, length: os.pread(descriptor, length, offset), size, found)
    return not found.get("compressed-clusters") and not any(os.pread(descriptor, 4, 60))


def _image(descriptor: int, kind: str) -> str:
    """The image's options, with the format given and the backing file disabled."""
    file = {"driver": "file", "filename": _name(descriptor)}
    node: dict[str, Any] = {"driver": IMAGES.get(kind, kind), "backing": None, "file": file}
    if kind == "vhd":  # the footer has the size, whereas the geometry for BIOSes is rounded
        node["force_size_calc"] = "current_size"
    return "json:" + json.dumps(node)


def _name(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"
