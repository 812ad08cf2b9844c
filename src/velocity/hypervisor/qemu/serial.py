"""The serial console of one run: QEMU writes it to spool files, so no reader can make the guest wait.

Each stream reads the spool at its own pace, and the log (`seriallog`) is copied from it. After each MiB QEMU gets a new
file, so that what was read can be removed. https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html (add-fd,
chardev-change)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Any, Protocol

from velocity.hypervisor.qemu.inotify import Follower
from velocity.hypervisor.qemu.serial_input import INPUT, SerialInput
from velocity.hypervisor.qemu.seriallog import LOG_LIMIT, Place, SerialLog, copy
from velocity.hypervisor.qemu.spool import SpooledConsole, SpoolRange
from velocity.hypervisor.questions import without_questions
from velocity.uninterrupted import in_thread

REPLAY = 64 << 10
"""Bytes of earlier output with which a new stream begins."""
PIECE = 64 << 10
"""Bytes that a stream gets at a time."""
FINISHED = 8
"""Complete spool files that are kept for a slow stream; after that, it misses the content of the oldest."""
MISSED = b"\r\n--- this console was read too slowly: here something is missing ---\r\n"
LOST = b"\r\n--- more came than is kept while no server ran: here something is missing ---\r\n"
NAME = "serial"
"""Names the chardev, and our fdsets in QEMU."""
DEADLINE = 5.0
"""Seconds for one QMP command."""
LONG = 60.0
"""Seconds that one check waits for the guest to read input."""


class SerialMonitor(Protocol):
    """What this module needs of a `WatchedRun`."""

    async def execute(self, command: str, *, deadline: float, **arguments: Any) -> Any: ...

    async def lend(self, descriptor: int, name: str, *, deadline: float, fdset: int | None = None) -> int:
        """Give QEMU a copy of a descriptor, under a name; the number of its set is returned."""


class SerialHub:
    """One run's console: its spool, its log, its input, and any number of streams."""

    def __init__(
        self,
        directory: Path,
        bounds: SpoolRange,
        run: int,
        kept: SerialLog,
        monitor: SerialMonitor,
        *,
        held: bool = False,
    ) -> None:
        """Raises `OSError`. `directory` is the run's; `held`: its guest is stopped between two hosts."""
        self.input = SerialInput(directory, held=held)
        self._closed = False
        self._directory = directory
        self._run = run
        self._log = kept
        self._monitor = monitor
        self._spool = SpooledConsole(directory, bounds)
        self._streams: set[SerialStream] = set()
        self._kept: Place = (0, 0)
        """The place up to which the log is written."""
        self._stuck = False
        """QEMU may still write to a full file, although it was to get the next one."""
        self._turn = asyncio.Lock()
        self._keeping = asyncio.Lock()
        self._follower: Follower | None = None

    async def connect(self) -> None:
        """Follow it from here on; a QEMU that an earlier version started gets a spool.

        Raises `HypervisorError`, `OSError`.
        """
        self._stuck = self._spool.full_before_the_last
        if not self._spool.numbers:
            await self._next()
        self._follower = Follower(f"the console of run {self._run} in {self._directory.name}", self.keep)
        if self._spool.end != self._kept:
            self._follower.wake()

    def heard(self) -> None:
        """There is new output."""
        if self._follower is not None:
            self._follower.wake()
        for stream in self._streams:
            stream.wake()

    async def open(self) -> SerialStream:
        """A stream that begins with the end of this run's output, without sequences that a terminal would answer."""
        async with self._turn:
            place = self._spool.end
            said = self._spool.before(place, REPLAY)
            if len(said) < REPLAY and self._spool.numbers:
                first = self._spool.numbers[0]
                said = await asyncio.to_thread(self._log.before, self._run, first, REPLAY - len(said)) + said
            stream = SerialStream(self, without_questions(said), place)
            self._streams.add(stream)
            return stream

    def leave(self, stream: SerialStream) -> None:
        self._streams.discard(stream)

    async def write(self, data: bytes) -> None:
        """Send input. Waits until the guest has read earlier input."""
        while data and not self._closed:
            data = data[await self.input.type_in(data, LONG) :]

    async def flush(self) -> None:
        """Return when the log has all output so far, if it can be written."""
        async with self._turn:
            with contextlib.suppress(OSError):
                await self._keep_all()

    def finish(self) -> None:
        """The guest says nothing more here: each stream ends with the output so far."""
        for stream in list(self._streams):
            stream.end()

    async def close(self) -> None:
        """Close the streams and stop following; the machine continues. From here on, nothing touches the log."""
        self._closed = True
        self.input.close()
        if self._follower is not None:
            await self._follower.close()
        await self.flush()
        self.finish()
        async with self._turn:
            self._spool.close()

    def read(self, place: Place) -> tuple[bytes, Place]:
        """The output from that place on, and the place after it; empty: nothing yet."""
        numbers = self._spool.numbers
        if numbers and place[0] < numbers[0]:
            return MISSED, (numbers[0], 0)
        return self._spool.read(place, PIECE)

    # Following

    async def keep(self) -> None:
        """Update the log, and remove what was read. Raises `HypervisorError`, `OSError`: try again."""
        async with self._keeping:
            async with self._turn:
                await self._keep_all()
                for reader in self._spool.take(self._needless()):
                    await in_thread(reader.remove)
            size = self._spool.size(self._spool.numbers[-1])
            if size >= LOG_LIMIT or self._stuck:
                await self._next(LOST if self._stuck or self._spool.bounds.full(size) else b"")
                self.heard()

    async def _keep_all(self) -> None:
        if self._spool.end != self._kept:
            self._kept = await in_thread(copy, self._log, self._run, self._spool)

    def _needless(self) -> list[int]:
        """The complete spool files that are in the log, and that no stream reads, or only one that is too slow."""
        kept = self._kept[0]
        slowest = min([kept, *(stream.place[0] for stream in self._streams)])
        return [number for number in self._spool.numbers if number < slowest or number <= kept - FINISHED]

    async def _next(self, content: bytes = b"") -> None:
        """Have QEMU write to a new spool file that begins with this. Raises `HypervisorError`, `OSError`."""
        pipe = self._directory / INPUT
        if not pipe.exists():
            await in_thread(os.mkfifo, pipe, 0o600)
        before = [one["fdset-id"] for one in await self._ask("query-fdsets") if _is_ours(one)]
        with contextlib.ExitStack() as ours:

            def held(descriptor: int) -> int:
                ours.callback(os.close, descriptor)
                return descriptor

            writes = held(await in_thread(self._spool.next, undo=os.close))
            self._spool.scan()
            reads = held(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
            keeps = held(os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
            fdset = await self._monitor.lend(writes, NAME, deadline=DEADLINE)
            for descriptor in (reads, keeps):
                await self._monitor.lend(descriptor, NAME, deadline=DEADLINE, fdset=fdset)
            place = f"/dev/fdset/{fdset}"
            data = {"type": "file", "data": {"out": place, "in": place, "append": True}}
            self._stuck = bool(content)
            os.write(writes, content)
            await self._ask("chardev-change", id=NAME, backend=data)
            self._stuck = False
        for old in before:
            await self._ask("remove-fd", **{"fdset-id": old})

    async def _ask(self, command: str, **arguments: Any) -> Any:
        return await self._monitor.execute(command, deadline=DEADLINE, **arguments)


class SerialStream:
    """One stream of the hub. Implements `velocity.hypervisor.port.ByteStream`."""

    def __init__(self, hub: SerialHub, said: bytes, place: Place) -> None:
        self.place = place
        self._hub = hub
        self._said = said
        self._ended = False
        self._more = asyncio.Event()

    async def read(self) -> bytes:
        while True:
            self._more.clear()
            if self._said:
                said, self._said = self._said, b""
                return said
            if self._ended:
                return b""
            said, self.place = self._hub.read(self.place)
            if said:
                return said
            await self._more.wait()

    async def write(self, data: bytes) -> None:
        await self._hub.write(data)

    async def close(self) -> None:
        self._hub.leave(self)
        self._ended = True
        self.wake()

    def wake(self) -> None:
        self._more.set()

    def end(self) -> None:
        """The output so far can still be read."""
        pieces = [self._said]
        for _ in range(2 * FINISHED * LOG_LIMIT // PIECE):
            said, self.place = self._hub.read(self.place)
            if not said:
                break
            pieces.append(said)
        self._said = b"".join(pieces)
        self._hub.leave(self)
        self._ended = True
        self.wake()


def _is_ours(fdset: dict[str, Any]) -> bool:
    return any(one.get("opaque") == NAME for one in fdset["fds"])


class SocketStream:
    """A connected unix socket as a stream: one display. Implements `velocity.hypervisor.port.ByteStream`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        try:
            return await self._reader.read(64 << 10)
        except OSError:
            return b""

    async def write(self, data: bytes) -> None:
        if self._writer.is_closing():
            return
        self._writer.write(data)
        with contextlib.suppress(OSError):
            await self._writer.drain()

    async def close(self) -> None:
        self._writer.close()
