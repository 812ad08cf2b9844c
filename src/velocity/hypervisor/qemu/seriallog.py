"""The serial log of a machine over all its runs, in its own directory: at least the last MiB.

`serial.<run>.<n>.<offset>.log` holds the output in the run's spool file n from that offset on. So a file's name and
size say what is copied already, and no crash of the server makes it copy a byte twice or not at all.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from msgspec import Struct

from velocity.hypervisor.qemu.spool import SpooledConsole

LOG_LIMIT = 1 << 20
"""Bytes of a file, and the least that is kept; at most twice as much is."""
NAME = re.compile(r"serial\.(\d+)\.(\d+)\.(\d+)\.log")
OLDER = ("serial.log.1", "serial.log")
"""The name in earlier versions, and of what another host had kept."""

Place = tuple[int, int]


class Segment(Struct, frozen=True, order=True):
    run: int
    number: int
    offset: int
    path: Path

    @property
    def size(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def read(self, most: int) -> bytes:
        """The end of it."""
        with contextlib.suppress(OSError), self.path.open("rb") as source:
            source.seek(max(0, self.size - most))
            return source.read(most)
        return b""


class SerialLog:
    """The log of one machine. Its methods access files: call them in a thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def place(self, run: int) -> Place:
        """The place in the run's spool files up to which it is copied."""
        ours = [segment for segment in self._segments() if segment.run == run]
        return (ours[-1].number, ours[-1].offset + ours[-1].size) if ours else (0, 0)

    def append(self, run: int, place: Place, data: bytes) -> None:
        """Append the output at that place. Raises `OSError`: `place` tells how much was written."""
        segments = self._segments()
        number, offset = place
        last = segments[-1] if segments else None
        if last and (last.run, last.number, last.offset + last.size) == (run, *place) and last.size < LOG_LIMIT:
            path = last.path
        else:
            path = self._directory / f"serial.{run}.{number}.{offset}.log"
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "ab", buffering=0) as file:
            rest = memoryview(data)
            while rest:
                rest = rest[file.write(rest) :]
        if last is None or path != last.path:
            self._prune()

    def begin(self, run: int, said: bytes) -> None:
        """Replace everything except that run by what another host has kept. Raises `OSError`."""
        newest, *older = reversed(OLDER)
        for path in [one.path for one in self._segments() if one.run != run] + [self._directory / one for one in older]:
            path.unlink(missing_ok=True)
        (self._directory / newest).write_bytes(said)

    def last(self, most: int) -> bytes:
        """At most so many bytes from the end; each run begins with a line."""
        said, run = b"", None
        for segment in reversed(self._segments()):
            if run is not None and segment.run != run:
                said = mark(run) + said
            if len(said) >= most:
                break
            said, run = segment.read(most - len(said)) + said, segment.run
        if len(said) < most and run is not None:
            said = mark(run) + said
        for name in reversed(OLDER):
            if len(said) < most:
                said = Segment(0, 0, 0, self._directory / name).read(most - len(said)) + said
        return said[-most:] if most else b""

    def before(self, run: int, number: int, most: int) -> bytes:
        """The end of the run's output before its spool file of that number."""
        said = b""
        for segment in reversed(self._segments()):
            if segment.run == run and segment.number < number and len(said) < most:
                said = segment.read(most - len(said)) + said
        return said

    def _segments(self) -> list[Segment]:
        found = []
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self._directory):  # noqa: PTH208 (names are all that is needed)
                if match := NAME.fullmatch(name):
                    run, number, offset = map(int, match.groups())
                    found.append(Segment(run, number, offset, self._directory / name))
        return sorted(found)

    def _prune(self) -> None:
        kept = 0
        for segment in reversed(self._segments()):
            if kept >= LOG_LIMIT:
                segment.path.unlink(missing_ok=True)
            kept += segment.size
        if kept >= LOG_LIMIT:
            for name in OLDER:
                (self._directory / name).unlink(missing_ok=True)


def copy(kept: SerialLog, run: int, spool: SpooledConsole) -> Place:
    """Update the log up to the end of the spool, after a long absence with only its end; returns that place."""
    place = kept.place(run)
    if spool.after(place) > 2 * LOG_LIMIT:
        place = spool.back(LOG_LIMIT)
    while True:
        data, after = spool.read(place, LOG_LIMIT)
        if not data:
            return place
        kept.append(run, (after[0], after[1] - len(data)), data)
        place = after


def mark(run: int) -> bytes:
    """The line with which a run begins."""
    return f"\n--- run {run}\n".encode()
