"""Input for the serial console of one run: a pipe that QEMU reads as fast as the guest does.

What QEMU has read moves with the guest to another host. Before that, the rest is taken out of the pipe: QEMU would read
it while the guest is stopped, and it would be lost. pipe(7)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

INPUT = "serial.in"
UNREAD = "serial.unread"
"""The file with what was taken out, for a later server."""
HOLDS = 64 << 10
"""The capacity of a pipe in bytes."""
AGAIN = 0.1
"""Seconds until a pipe that is not open yet is tried again."""


class SerialInput:
    """The input of one run. `held`: none is written until `release`; `unread` is what `hold` has taken out."""

    def __init__(self, directory: Path, *, held: bool = False) -> None:
        self._directory = directory
        self._pipe = -1
        self._closed = False
        self._turn = asyncio.Lock()
        self._free = asyncio.Event()
        self._room = asyncio.Event()
        self.unread = b""
        with contextlib.suppress(FileNotFoundError):
            self.unread = (directory / UNREAD).read_bytes()
        if not held and not self.unread:
            self._free.set()

    async def type_in(self, data: bytes, deadline: float) -> int:
        """How much of it was written: not all, if in that time there was no room, or input is held."""
        rest = memoryview(data)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline), self._turn:
                while rest and not self._closed:
                    if not self._free.is_set():
                        await self._free.wait()
                    elif written := self._write(rest):
                        rest = rest[written:]
                    else:
                        await self._wait_for_room()
        return len(data) - len(rest)

    def hold(self) -> None:
        """Write no input from here on, and take back what QEMU has not read. Raises `OSError`."""
        self._free.clear()
        if not self.unread:
            self._drain()

    def release(self, typed: bytes = b"") -> None:
        """Write what was taken back, before any other input. Idempotent. Raises `OSError`."""
        if self._free.is_set():
            return
        self._write((self.unread + typed)[:HOLDS])
        self.unread = b""
        (self._directory / UNREAD).unlink(missing_ok=True)
        self._free.set()

    def close(self) -> None:
        """Wake whoever waits."""
        self._closed = True
        self._free.set()
        self._room.set()
        if self._pipe >= 0:
            asyncio.get_running_loop().remove_writer(self._pipe)
            os.close(self._pipe)
            self._pipe = -1

    def _write(self, data: bytes | memoryview) -> int:
        """Write as much as there is room for."""
        with contextlib.suppress(OSError):
            if self._pipe < 0:
                self._pipe = os.open(self._directory / INPUT, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            return os.write(self._pipe, data)
        return 0

    async def _wait_for_room(self) -> None:
        if self._pipe < 0:  # its QEMU does not have it yet
            await asyncio.sleep(AGAIN)
            return
        loop = asyncio.get_running_loop()
        self._room.clear()
        loop.add_writer(self._pipe, self._room.set)
        try:
            await self._room.wait()
        finally:
            if self._pipe >= 0:
                loop.remove_writer(self._pipe)

    def _drain(self) -> None:
        """Empty the pipe, after all that QEMU has read, into the file. Raises `OSError`, with all of it in `unread`.

        The kernel moves the bytes, so that each is in one of the two whenever this process is killed. splice(2)
        """
        try:
            reads = os.open(self._directory / INPUT, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:  # an earlier version started it, and nobody has typed yet
            return
        with contextlib.closing(os.fdopen(reads, "rb", buffering=0)), (self._directory / UNREAD).open("w+b") as kept:
            try:
                with contextlib.suppress(BlockingIOError):
                    while os.splice(reads, kept.fileno(), HOLDS, flags=os.SPLICE_F_NONBLOCK):
                        pass
            finally:
                kept.seek(0)
                self.unread = kept.read()
                with contextlib.suppress(BlockingIOError):  # what the file had no room for, to be written in its order
                    self.unread += os.read(reads, HOLDS)
        if not self.unread:
            (self._directory / UNREAD).unlink()
