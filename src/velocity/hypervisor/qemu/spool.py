"""Output files of limited size that QEMU writes without waiting for a reader, and their reader.

QEMU writes only to files without ever waiting. Their size is limited by the maximum of the file system, or of the
process (`filesizes.py`): a file begins, sparse, at an offset below that maximum, and a write beyond it fails with
EFBIG, which QEMU treats as lost output. write(2); https://docs.kernel.org/filesystems/tmpfs.html
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from velocity.hypervisor.qemu import filesizes

CAP = 64 << 20
"""Bytes that a file takes at most."""
SHARE = 32
"""A file takes at most this part of its file system, which may be small and in memory."""
ALIGNED = 1 << 20
"""Bytes: files begin at multiples of it, and can hold at least that."""
NEARLY = 4096
"""Bytes below its maximum from which on a file counts as full."""
LARGEST = (1 << 63) - 1
"""The largest offset in a file."""


class SpoolRange(Struct, frozen=True):
    """The offset of a file's first byte, and the number of bytes that it can hold."""

    begin: int
    room: int

    def full(self, size: int) -> bool:
        """Whether output may have been lost: QEMU writes at most a few KiB at once."""
        return size >= self.room - NEARLY


def bounds(directory: Path) -> SpoolRange:
    """The range of files in that directory. Raises `OSError`."""
    space = os.statvfs(directory)
    room = max(ALIGNED, min(CAP, space.f_blocks * space.f_frsize // SHARE))
    with tempfile.TemporaryFile(dir=directory) as probe:
        fits, beyond = 0, LARGEST + 1
        while beyond - fits > 1:
            middle = (fits + beyond) // 2
            try:
                os.ftruncate(probe.fileno(), middle)
                fits = middle
            except OSError:  # EFBIG, and EINVAL on some
                beyond = middle
    begin = (fits - room) // ALIGNED * ALIGNED
    return SpoolRange(begin, fits - begin)


def range_of(root: Path, pid: int) -> SpoolRange:
    """The range of that process's files below `root`, which follows from its own limit. Raises `OSError`."""
    largest = filesizes.of_process(pid)
    return bounds(root) if largest is None else below(largest, bounds(root))


def below(largest: int, bounds: SpoolRange) -> SpoolRange:
    """The range of the same size, for a process whose files may not exceed that size."""
    begin = (largest - bounds.room) // ALIGNED * ALIGNED
    return bounds if bounds.begin < begin else SpoolRange(begin, largest - begin)


def create(path: Path, bounds: SpoolRange) -> int:
    """A new file of limited size; the descriptor appends to it. Raises `OSError`, also if it exists."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, bounds.begin)
    except BaseException:
        os.close(descriptor)
        path.unlink()
        raise
    return descriptor


class SpoolReader:
    """Reads one such file, even after its name is removed. Offsets count from its first byte."""

    def __init__(self, path: Path, bounds: SpoolRange) -> None:
        """Raises `OSError`."""
        self.path = path
        self._begin = bounds.begin
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    @property
    def size(self) -> int:
        return max(0, os.fstat(self._descriptor).st_size - self._begin)

    def read(self, offset: int, most: int) -> bytes:
        """The bytes from that offset on; empty: nothing yet."""
        begin = self._begin + offset
        return os.pread(self._descriptor, min(most, LARGEST - begin), begin)  # else EINVAL, on a file system in memory

    def truncate(self) -> None:
        """Make it empty. Output between a read and this is lost."""
        os.ftruncate(self._descriptor, self._begin)

    def remove(self) -> None:
        """Free its space at once, although QEMU may keep it open for long."""
        self.path.unlink(missing_ok=True)
        os.ftruncate(self._descriptor, 0)
        self.close()

    def close(self) -> None:
        os.close(self._descriptor)


class SpooledConsole:
    """The spool files `serial.<n>` of one run's serial console, in the order in which QEMU got them.

    A file is complete when a later one has a byte. A place is (n, offset); places are ordered.
    """

    def __init__(self, directory: Path, bounds: SpoolRange) -> None:
        """Raises `OSError`."""
        self._directory = directory
        self.bounds = bounds
        self._readers: dict[int, SpoolReader] = {}
        self.scan()

    def scan(self) -> None:
        """Open files that are there and not open yet."""
        for path in self._directory.glob("serial.*"):
            number = path.suffix[1:]
            if number.isdigit() and int(number) not in self._readers:
                with contextlib.suppress(FileNotFoundError):
                    self._readers[int(number)] = SpoolReader(path, self.bounds)

    @property
    def numbers(self) -> list[int]:
        return sorted(self._readers.copy())  # copied first: another thread may add to it

    def next(self) -> int:
        """A descriptor of the next file, or of the last one if it is still empty. Raises `OSError`."""
        last = self.numbers[-1] if self._readers else -1
        if last > 0 and not self.size(last):
            return os.open(self._path(last), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        return create(self._path(last + 1), self.bounds)

    @property
    def full_before_the_last(self) -> bool:
        return any(self.bounds.full(self.size(number)) for number in self.numbers[:-1])

    def _path(self, number: int) -> Path:
        return self._directory / f"serial.{number}"

    def size(self, number: int) -> int:
        return self._readers[number].size

    @property
    def end(self) -> tuple[int, int]:
        """The place of the next byte."""
        for number in reversed(self.numbers):
            if (size := self.size(number)) or number == self.numbers[0]:
                return number, size
        return 0, 0

    def read(self, place: tuple[int, int], most: int) -> tuple[bytes, tuple[int, int]]:
        """Output from that place on, from one file, and the place after it; empty: nothing yet."""
        number, offset = place
        # Checked first: only a file that is known to be complete is read to its very end below.
        later = next((one for one in self.numbers if one > number and self.size(one)), None)
        if (reader := self._readers.get(number)) and (data := reader.read(offset, most)):
            return data, (number, offset + len(data))
        if later is None:
            return b"", place
        data = self._readers[later].read(0, most)
        return data, (later, len(data))

    def after(self, place: tuple[int, int]) -> int:
        """The number of bytes from that place on."""
        later = sum(self.size(one) for one in self.numbers if one > place[0])
        return later + (max(0, self.size(place[0]) - place[1]) if place[0] in self._readers else 0)

    def back(self, most: int) -> tuple[int, int]:
        """The place so many bytes before the end, or the first one."""
        for number in reversed(self.numbers):
            if (size := self.size(number)) >= most:
                return number, size - most
            most -= size
        return self.numbers[0], 0

    def before(self, place: tuple[int, int], most: int) -> bytes:
        """The end of what is here before that place."""
        said = b""
        for number in reversed(self.numbers):
            if number <= place[0] and len(said) < most:
                end = place[1] if number == place[0] else self.size(number)
                begin = max(0, end - (most - len(said)))
                said = self._readers[number].read(begin, end - begin) + said
        return said

    def take(self, numbers: Sequence[int]) -> list[SpoolReader]:
        """Complete files that nobody needs any more, to be removed; they are not listed here any more."""
        return [self._readers.pop(number) for number in numbers]

    def close(self) -> None:
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()
