"""What a machine has said on its serial console, kept in its own directory over its runs: its last MiB at least.

`serial.<run>.<n>.<offset>.log` holds what came into the run's spool file n from that offset on. So a file's name and
size say what of the spool is kept already, and no crash of the server makes it keep a byte twice or not at all.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from velocity.hypervisor.qemu.spool import SpooledConsole

LOG_LIMIT = 1 << 20
"""Bytes of a file, and those that are kept at least; so at most twice as much is."""
NAME = re.compile(r"serial\.(\d+)\.(\d+)\.(\d+)\.log")
OLDER = ("serial.log.1", "serial.log")
"""As earlier versions kept it; also what another host had kept."""

Place = tuple[int, int]


@dataclass(frozen=True, order=True)
class Segment:
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
        """The last of it."""
        with contextlib.suppress(OSError), self.path.open("rb") as source:
            source.seek(max(0, self.size - most))
            return source.read(most)
        return b""


class SerialLog:
    """The log of one machine. Its calls touch files: to be made in a thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def place(self, run: int) -> Place:
        """The place in the run's spool files up to which it is kept."""
        ours = [segment for segment in self._segments() if segment.run == run]
        return (ours[-1].number, ours[-1].offset + ours[-1].size) if ours else (0, 0)

    def append(self, run: int, place: Place, data: bytes) -> None:
        """Keep what came at that place. Raises `OSError`: `place` tells how much of it is kept."""
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
        """What another host has kept of it, in the place of all but that run. Raises `OSError`."""
        newest, *older = reversed(OLDER)
        for path in [one.path for one in self._segments() if one.run != run] + [self._directory / one for one in older]:
            path.unlink(missing_ok=True)
        (self._directory / newest).write_bytes(said)

    def last(self, most: int) -> bytes:
        """The end of what is kept, at most so many bytes; a line begins each run."""
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
        """The end of what the run said before its spool file of that number."""
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
    """Bring the log up to date, of a long absence only its end; up to where it is. Raises `OSError`."""
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
    """The line that begins a run."""
    return f"\n--- run {run}\n".encode()
