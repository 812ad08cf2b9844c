"""What is typed into one run: a pipe, which its QEMU reads as far as the guest takes it, and what is kept out of that.

What QEMU has read is the guest's, and goes with it to another host. Before it goes, the rest is taken out of the pipe,
as QEMU would read on while the guest stands still, and nobody would have that. pipe(7)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

INPUT = "serial.in"
UNREAD = "serial.unread"
"""Has what was taken out, for a server that comes next."""
HOLDS = 64 << 10
"""Bytes that a pipe holds at most."""
AGAIN = 0.1


class SerialInput:
    """That of one run. `held`: nothing is typed until `release`; `unread` is what was taken out by `hold`."""

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
        """How much of it the guest will read: less than all where in that time it has no room, or is held."""
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

    async def hold(self) -> None:
        """Nothing is typed from here on, and what QEMU has not read is kept instead. Raises `OSError`."""
        self._free.clear()
        self.unread = self._drain() + self.unread
        if self.unread:
            await asyncio.to_thread((self._directory / UNREAD).write_bytes, self.unread)

    def release(self, typed: bytes = b"") -> None:
        """What was kept is typed, and that, before anything else is. Raises `OSError`. Done already is success."""
        if self._free.is_set():
            return
        self._write((self.unread + typed)[:HOLDS])
        self.unread = b""
        (self._directory / UNREAD).unlink(missing_ok=True)
        self._free.set()

    def close(self) -> None:
        """Whoever waits goes on."""
        self._closed = True
        self._free.set()
        self._room.set()
        if self._pipe >= 0:
            asyncio.get_running_loop().remove_writer(self._pipe)
            os.close(self._pipe)
            self._pipe = -1

    def _write(self, data: bytes | memoryview) -> int:
        """How much of it there is room for now."""
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

    def _drain(self) -> bytes:
        """All that is in it, in one step: what QEMU has read stands before that. Raises `OSError`."""
        try:
            reads = os.open(self._directory / INPUT, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:  # an earlier version started it, and nobody has typed yet
            return b""
        try:
            return os.read(reads, HOLDS)
        except BlockingIOError:
            return b""
        finally:
            os.close(reads)
