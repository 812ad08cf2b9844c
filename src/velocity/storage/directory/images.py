"""Converting images into media: by confined programs, with unpacking that stops at the quota.

The format is always stated, never probed. https://www.qemu.org/docs/master/tools/qemu-img.html
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
from dataclasses import dataclass
from typing import Any

from velocity.contract.problems import Problem, Refused
from velocity.storage.archives import Member
from velocity.storage.directory.image_file import ImageFile
from velocity.storage.directory.qemu_img_words import meaning
from velocity.storage.directory.unpackers import command, failure, program
from velocity.storage.formats import IMAGES, check_alone, has_other_data, refused
from velocity.storage.whole import AGAIN, check_qcow2, check_whole
from velocity.unprivileged import MEMORY, Bounds, own_uid, running

AT_ONCE, LOOKS = 3, 2
INFO_SECONDS = 20.0
PIECE = 1 << 20
CHECKED = frozenset({"qcow2", "vmdk", "vhdx"})
"""Images that qemu-img can look through, whether all that they refer to is there."""
LOOKED = (0, 2, 3, 63)
"""What `qemu-img check` ends with if it has looked: all is well, damaged, with space lost, not of this format."""
NO_ROOM = os.strerror(errno.ENOSPC)
ARENAS = "1"
"""Else glibc reserves 64 MiB of address space for each of up to 64 threads, beside their stacks of 8. mallopt(3)"""
FICLONE = 0x40049409
"""ioctl_ficlone(2)"""
COPY = ("-C",)
"""By copy_file_range(2), or as other files where the kernel cannot; what is a hole stays one."""
ANY_ORDER = ("-W", "-m", "16")
"""A raw file is as good whichever of its pieces is written first. (A qcow2 image would be in pieces.)"""

Told = Callable[[int], None]


@dataclass(frozen=True)
class Conversion:
    """From `kind` to `format`, of a disk of `size` bytes.

    A `foreign` image is one that somebody has brought: it is looked at again in the step before, as it waited for its
    turn. One that is to be `compact` is written anew, whatever its format.
    """

    kind: str
    format: str
    size: int
    foreign: bool
    compact: bool = False


class Images:
    """`worker` is the uid that images are read under, where the server may change it (as root).

    `turns`: so many at once of those that read in one pool and write in another, as one pool that hangs would keep all.
    Who only looks, for seconds, does not wait for those that convert, for hours, but for others that look (`looks`).
    """

    def __init__(self, worker: int | None) -> None:
        self._worker = worker
        self._readers: Counter[tuple[int, int]] = Counter()
        self.turns: defaultdict[tuple[int, int], asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(AT_ONCE))
        self.looks: defaultdict[tuple[int, int], asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(LOOKS))

    async def virtual_size(self, source: ImageFile, kind: str, pools: tuple[int, int]) -> int:
        """The size of the disk in the image, in bytes. Raises `Refused(NOT_AN_IMAGE)`, also if it names other files."""
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
        """Fill the target, which is there and empty. `told` hears the bytes done. Raises `Refused`.

        Nobody may write to the source: see `velocity.media.sources`.
        """
        async with self._lent(source), self.turns[pools]:
            with own_uid(self._worker) as uid:
                await self._convert(source, target, conversion, uid, told)
        await target.do(self._finish)

    async def grow(self, image: ImageFile, size: int, pool: int) -> None:
        """A qcow2 medium's disk has so many bytes, durable; one that has more keeps them. Raises `Refused`.

        qemu-img writes what is new before the header that names it: cut anywhere, the disk is as it was, or larger.
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
        """The same file once more."""
        with source.file.use() as read:
            await target.truncate(0)
            if not await target.do(lambda write: cloned(read, write)):
                await target.truncate(length)
                words = [*COPY, "-O", "raw", _image(read, "raw")]
                await self._write(target, words, read, conversion, uid, told)
                await target.truncate(length)  # qemu-img counts in sectors
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
        """Whether all that it refers to is in it: raises `Refused`.

        Whether a guest may have it as it is: not if that would unpack what it reads, or if snapshots are in it.
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
        """Within, programs that get it as a descriptor may open it anew; they see no directory that it is in.

        In a shared pool they may do so from then on: another host may be reading it just as well.
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
                with contextlib.suppress(OSError):  # it is when the pool is opened next
                    if not source.shared:
                        await source.do(take_back)

    def _finish(self, target: int) -> None:
        """It is the server's alone again, and on the disk."""
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
        """qemu-img without privileges. What it printed; raises `Refused`, unless it ends as is `fine`.

        `told` hears the bytes done; without it, it has to be done in seconds. `done`: see `refused`.
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
        """The content of a packed file, or of a member of an archive, in pieces. Raises `Refused`.

        `told` hears the bytes that were read of it.
        """
        needed = program(kind, member)
        if shutil.which(needed) is None:
            raise refused(f"`{needed}` is not installed on the server")
        words = command(kind, member)
        if (size := (await source.stat()).size) != (await source.do(os.fstat)).st_size:  # it has been filled up
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
    """Raises `Refused` for a program that was ended from outside, itself or within a shell: that says nothing of what
    it read."""
    if {-status, status - 128} & {signal.SIGKILL, signal.SIGTERM}:
        raise Refused(
            Problem.UNAVAILABLE,
            "the host has ended a program that reads images, as it does for want of memory; nothing was changed: try "
            "again later",
        )


async def _listen(stream: asyncio.StreamReader, size: int, told: Told | None) -> str:
    """What it printed, but for its progress, which is told."""
    said = b""
    while piece := await stream.read(4096):
        if size and told is not None and (percents := re.findall(rb"\((\d+\.\d+)/100%\)", piece)):
            told(int(size * float(percents[-1]) / 100))
        elif len(said) < PIECE:
            said += piece
    return said.decode(errors="replace")


def most(size: int) -> int:
    """Bytes that an image of a disk of this size may have."""
    return size + size // 64 + (64 << 20)


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


def _check_own_data(descriptor: int) -> None:
    """Of a medium: its guest's process may have written another header since it was made. Raises `Refused`."""
    head = os.pread(descriptor, 80, 0)
    if len(head) < 80 or has_other_data(head):
        raise refused("its header is invalid, or its data is in another file", done="cloned")


def _check_alone(descriptor: int, kind: str) -> None:
    check_alone(kind, lambda offset, length: os.pread(descriptor, length, offset))


def _check_whole(descriptor: int, kind: str, size: int) -> None:
    check_whole(kind, lambda offset, length: os.pread(descriptor, length, offset), size)


def _check_qcow2(descriptor: int, size: int, found: dict[str, Any]) -> bool:
    """Whether it has nothing compressed and no snapshot. qcow2.txt, "Header": nb_snapshots"""
    check_qcow2(lambda offset, length: os.pread(descriptor, length, offset), size, found)
    return not found.get("compressed-clusters") and not any(os.pread(descriptor, 4, 60))


def _image(descriptor: int, kind: str) -> str:
    """The image with its format stated, and without a backing file whatever it says."""
    file = {"driver": "file", "filename": _name(descriptor)}
    node: dict[str, Any] = {"driver": IMAGES.get(kind, kind), "backing": None, "file": file}
    if kind == "vhd":  # its disk is as large as its footer says, not as the geometry for a BIOS does
        node["force_size_calc"] = "current_size"
    return "json:" + json.dumps(node)


def _name(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"
