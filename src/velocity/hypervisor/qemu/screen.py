"""Screenshots: QEMU writes into a file in memory of ours, through a descriptor that is passed and removed again.

QEMU closes a removed descriptor only while the guest runs. So one that was passed while the guest is paused is reused
for the next screenshot, and removed when the guest continues.
https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html (add-fd, screendump, remove-fd)
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import re
from typing import Any, Protocol

from msgspec import Struct

from velocity.hypervisor.port import HypervisorError, NotRunning, Unknown

LIMIT = 128 << 20
"""Bytes that are read of a picture: one of 7,680 x 4,320 has 100 MB. QEMU draws at most about twice that."""
MARK = "screen"
"""Names our fdsets in QEMU, so that a later server recognizes them."""
SWEEP_DEADLINE = 2.0
"""Seconds to remove descriptors from QEMU."""
HEADER = re.compile(rb"P6\n([1-9]\d*) ([1-9]\d*)\n255\n")


class ScreendumpMonitor(Protocol):
    """What this module needs of a `WatchedRun`."""

    async def execute(self, command: str, *, deadline: float, **arguments: Any) -> Any: ...

    async def lend(self, descriptor: int, name: str, *, deadline: float) -> int:
        """Give QEMU a copy of a descriptor, under a name; the number of its set is returned."""


class DumpFile(Struct, frozen=True):
    """A file in memory, and the fdset by which QEMU writes to it.

    Both descriptors share one offset, which the server resets.
    """

    file: io.FileIO
    theirs: io.FileIO
    fdset: int


class Screendumps:
    """Takes screenshots of one machine, one at a time. `left`: QEMU may still have a descriptor of ours."""

    def __init__(self, monitor: ScreendumpMonitor) -> None:
        self.left = False
        self._monitor = monitor
        self._dump_file: DumpFile | None = None
        self._turn = asyncio.Lock()

    async def take(self, device: str, *, deadline: float) -> bytes:
        """The content of the display, as PPM. Raises `HypervisorError`, `NotRunning`, `Unknown`."""
        try:
            async with asyncio.timeout(deadline), self._turn:
                picture = await self._take(device, deadline)
        except TimeoutError:
            raise Unknown("QEMU did not draw the display in time") from None
        except (NotRunning, Unknown):
            raise
        except HypervisorError:
            await self.sweep()
            raise
        except OSError as error:  # such as of a process that has no descriptors left
            raise HypervisorError(f"the host has no room for a picture: {error.strerror}") from None
        await self.sweep()
        return picture

    async def _take(self, device: str, deadline: float) -> bytes:
        self.left = True
        try:
            dump = self._dump_file = self._dump_file or await self._open_dump_file(deadline)
            dump.theirs.seek(0)
            name = f"/dev/fdset/{dump.fdset}"
            await self._monitor.execute("screendump", deadline=deadline, filename=name, device=device, head=0)
            if dump.file.closed:
                raise NotRunning("QEMU has ended")
            return await asyncio.to_thread(_read, os.dup(dump.file.fileno()))
        except (Unknown, asyncio.CancelledError):
            self.close()  # QEMU may still write to it: it is never used again
            raise

    async def _open_dump_file(self, deadline: float) -> DumpFile:
        # QEMU loses the first of two descriptors that it has not read yet, and gives the second to the first command:
        # an answer means that it has read what an earlier attempt may have sent.
        await self._monitor.execute("query-status", deadline=deadline)
        with contextlib.ExitStack() as undo:
            file = undo.enter_context(io.FileIO(os.memfd_create("velocity-screen", os.MFD_CLOEXEC), "r"))
            theirs = undo.enter_context(io.FileIO(f"/proc/self/fd/{file.fileno()}", "w"))
            fdset = await self._monitor.lend(theirs.fileno(), MARK, deadline=deadline)
            undo.pop_all()
        return DumpFile(file, theirs, fdset)

    async def sweep(self) -> None:
        """Remove our descriptors from QEMU, if the guest runs. Failures are retried at the next occasion."""
        if not self.left:
            return
        try:
            async with asyncio.timeout(SWEEP_DEADLINE), self._turn:
                if not (await self._ask("query-status"))["running"]:
                    return
                for fdset in await self._ours():
                    await self._ask("remove-fd", **{"fdset-id": fdset})
                self.close()
                self.left = bool(await self._ours())
        except (TimeoutError, HypervisorError):
            return

    def close(self) -> None:
        """Close our side."""
        if self._dump_file is not None:
            self._dump_file.file.close()
            self._dump_file.theirs.close()
            self._dump_file = None

    async def _ours(self) -> list[int]:
        sets = await self._ask("query-fdsets")
        return [one["fdset-id"] for one in sets if any(fd.get("opaque") == MARK for fd in one["fds"])]

    async def _ask(self, command: str, **arguments: Any) -> Any:
        return await self._monitor.execute(command, deadline=SWEEP_DEADLINE, **arguments)


def _read(file: int) -> bytes:
    """The picture in the file, which is emptied; closes the descriptor. Raises `HypervisorError`.

    It is a duplicate: the other may be closed, and its number reused, while this thread works.
    """
    try:
        header = HEADER.match(os.pread(file, 64, 0))
        if header is None:
            raise HypervisorError("QEMU drew no picture")
        size = header.end() + 3 * int(header[1]) * int(header[2])
        if size > LIMIT:
            raise HypervisorError(f"the display is too large for a picture: {int(header[1])}x{int(header[2])}")
        picture = os.pread(file, size, 0)
        if len(picture) != size:
            raise HypervisorError("QEMU drew an incomplete picture")
        return picture
    finally:
        os.ftruncate(file, 0)
        os.close(file)
