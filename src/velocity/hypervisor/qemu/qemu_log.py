"""The output of QEMU itself: it writes to a file of limited size, which is copied to qemu.log."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from functools import partial
from pathlib import Path
from uuid import UUID

from velocity.hypervisor.qemu.event_interpreter import plain
from velocity.hypervisor.qemu.inotify import Follower
from velocity.hypervisor.qemu.spool import SpoolRange, SpoolReader
from velocity.uninterrupted import in_thread

LOG_LIMIT = 1 << 20
"""Bytes of the log, which then becomes `.1` and starts anew; also of the file that QEMU writes to."""
NAME = "qemu.out"
MARK = "--- run "
LOST = b"--- more was said than is kept: here something is missing\n"
LAST_WORDS = 8192
"""Bytes of the log in which the reason for an unexpected end is looked for."""


class QemuLog:
    """QEMU's output in one run. Its methods access files: call them in a thread."""

    def __init__(self, directory: Path, bounds: SpoolRange, run: int, kept: Path) -> None:
        """Raises `OSError`; `FileNotFoundError` if its QEMU writes to the log itself, as in an earlier version."""
        self._bounds = bounds
        self._run = run
        self._kept = kept
        self._turn = threading.Lock()
        self._out = SpoolReader(directory / NAME, bounds)
        self._copied = self._overlap()

    @property
    def more(self) -> bool:
        """Whether there is output that the log does not have yet."""
        return self._out.size != self._copied

    def copy(self) -> None:
        """Update the log, and limit both files. Raises `OSError`."""
        with self._turn:
            self._copy()

    def _copy(self) -> None:
        size = self._out.size
        if size - self._copied > LOG_LIMIT:  # a flood: its end is what is worth keeping
            self._copied = size - LOG_LIMIT
            self._append(LOST)
        while data := self._out.read(self._copied, LOG_LIMIT):
            self._append(data)
            self._copied += len(data)
        if self._copied >= LOG_LIMIT:
            full = self._bounds.full(self._out.size)
            self._out.truncate()
            self._copied = 0
            if full:
                self._append(LOST)

    def close(self) -> None:
        self._out.close()

    def _append(self, data: bytes) -> None:
        with self._kept.open("ab") as log:
            log.write(data)
            size = log.tell()
        if size > LOG_LIMIT:
            begin(self._kept, self._run, LOG_LIMIT)

    def _overlap(self) -> int:
        """How much of the file the log has, as an earlier server copied it: the log ends with exactly that."""
        if not self._out.size:  # as at each start
            return 0
        log = said(self._kept, LOG_LIMIT)
        out = self._out.read(0, LOG_LIMIT)
        return next((size for size in range(min(len(log), len(out)), 0, -1) if log.endswith(out[:size])), 0)


class FollowedLog:
    """Keeps the log of one run up to date while it runs, and knows the end of it. `machine` is for messages."""

    def __init__(self, machine: UUID, output: QemuLog | None, kept: Path) -> None:
        """`output` is None if QEMU writes to the log itself."""
        self._output = output
        self._kept = kept
        self._machine = machine
        self._follower: Follower | None = None

    def open(self) -> None:
        """Begin to follow."""
        if self._output is not None:
            self._follower = Follower(f"the output of QEMU of {self._machine}", partial(in_thread, self._output.copy))
            if self._output.more:
                self._follower.wake()

    def on_output(self) -> None:
        """QEMU may have written something."""
        if self._follower is not None:
            self._follower.wake()

    async def close(self) -> None:
        """Copy the rest. Idempotent."""
        if self._follower is not None:
            await self._follower.close()
            self._follower = None
        await self._copy_rest()
        if self._output is not None:
            self._output.close()
            self._output = None

    async def last_words(self) -> str:
        """The end of QEMU's output in this run, without time stamps and program name; empty if there was none."""
        await self._copy_rest()
        text = (await asyncio.to_thread(said, self._kept, LAST_WORDS)).decode("utf-8", "replace")
        lines = [line.split("qemu-system-x86_64: ", 1)[-1].strip() for line in text.splitlines()]
        return plain("; ".join(line for line in lines if line))

    async def _copy_rest(self) -> None:
        if self._output is not None and self._output.more:
            with contextlib.suppress(OSError):
                await in_thread(self._output.copy)


def begin(kept: Path, run: int, most: int = LOG_LIMIT // 2) -> None:
    """Begin a run in the log, which becomes `.1` if it exceeds that many bytes. Raises `OSError`."""
    with contextlib.suppress(FileNotFoundError):
        if kept.stat().st_size > most:
            kept.rename(kept.with_suffix(".log.1"))
    descriptor = os.open(kept, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "ab") as log:
        log.write(f"{MARK}{run}\n".encode())


def said(kept: Path, most: int) -> bytes:
    """The end of the latest run's output; empty if there was none."""
    with contextlib.suppress(OSError), kept.open("rb") as log:
        log.seek(max(0, os.fstat(log.fileno()).st_size - most))
        return log.read().rpartition(MARK.encode())[2].partition(b"\n")[2]
    return b""
