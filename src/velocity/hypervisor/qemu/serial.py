"""The serial console of one machine: drained always, so that a guest never stands still because nobody reads.

QEMU writes the log itself, also while no server runs; here it is kept within its bound.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import deque
from pathlib import Path

REPLAY = 64 << 10
"""Bytes of the past that a new stream begins with."""
LOG_LIMIT = 1 << 20
"""Bytes of the log; then it becomes `.1` and begins anew, so at most twice as much is kept."""
MARK = b"\n--- run "
"""Begins the line in the log that each start writes, with its number."""
BACKLOG = 1 << 20
"""Bytes that a stream may lag behind; then it loses the oldest."""


class SerialHub:
    """One reader at QEMU, any number of streams."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._past: deque[bytes] = deque()
        self._kept = 0
        self._since_look = LOG_LIMIT  # look at once: it may have grown while no server ran
        self._looking: asyncio.Future[None] | None = None
        self._streams: set[SerialStream] = set()
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None

    async def recall(self) -> None:
        """Begin with what this run has said before: it is in the log.

        What is said in the instant between this and `connect` is missed by streams alone.
        """
        self._remember(of_this_run(await asyncio.to_thread(last, self._log, REPLAY)))

    async def connect(self, path: Path) -> None:
        """Connect to QEMU's socket and drain from here on. Raises `OSError`."""
        plug = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        plug.setblocking(False)
        try:
            plug.connect(str(path))
            reader, self._writer = await asyncio.open_unix_connection(sock=plug)
        except BaseException:
            plug.close()
            raise
        self._task = asyncio.create_task(self._drain(reader))

    def open(self) -> SerialStream:
        stream = SerialStream(self)
        for piece in self._past:
            stream.feed(piece)
        self._streams.add(stream)
        return stream

    def leave(self, stream: SerialStream) -> None:
        self._streams.discard(stream)

    async def write(self, data: bytes) -> None:
        if self._writer is None or self._writer.is_closing():
            return
        self._writer.write(data)
        with contextlib.suppress(OSError):
            await self._writer.drain()

    async def close(self) -> None:
        """Let go; the streams end, the machine goes on. From here on nobody of ours touches the log."""
        if self._task is not None:
            self._task.cancel()
        if self._writer is not None:
            self._writer.close()
        for stream in list(self._streams):
            stream.end()
        if self._looking is not None:
            await asyncio.wait({self._looking})

    async def _drain(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(16 << 10):
                self._remember(piece)
                for stream in self._streams:
                    stream.feed(piece)
                if self._since_look >= LOG_LIMIT // 16:
                    await self._look()
        for stream in list(self._streams):
            stream.end()

    def _remember(self, piece: bytes) -> None:
        if not piece:
            return
        self._past.append(piece)
        self._kept += len(piece)
        while self._kept - len(self._past[0]) >= REPLAY:
            self._kept -= len(self._past.popleft())
        self._since_look += len(piece)

    async def _look(self) -> None:
        """Bound the log. Meanwhile nothing is read, so that a guest that says much waits."""
        self._since_look = 0
        self._looking = asyncio.ensure_future(asyncio.to_thread(bound, self._log))
        await asyncio.shield(self._looking)


class SerialStream:
    """One console on the hub. Keeps `velocity.hypervisor.port.ByteStream`."""

    def __init__(self, hub: SerialHub) -> None:
        self._hub = hub
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._more = asyncio.Event()

    async def read(self) -> bytes:
        while not self._pieces:
            if self._ended:
                return b""
            self._more.clear()
            await self._more.wait()
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        return data

    async def write(self, data: bytes) -> None:
        await self._hub.write(data)

    async def close(self) -> None:
        self.end()

    def feed(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        while self._size > BACKLOG:
            self._size -= len(self._pieces.popleft())
        self._more.set()

    def end(self) -> None:
        self._hub.leave(self)
        self._ended = True
        self._more.set()


def last(log: Path, most: int) -> bytes:
    """The end of what is kept, at most so many bytes; empty when nothing is."""
    said = b""
    for file in (log, _older(log)):
        if len(said) < most:
            with contextlib.suppress(OSError), file.open("rb") as source:
                size = source.seek(0, os.SEEK_END)
                source.seek(max(0, size - (most - len(said))))
                said = source.read(most - len(said)) + said
    return said


def of_this_run(tail: bytes) -> bytes:
    """What follows the last start in the end of a log; all of it when that start lies further back."""
    _, mark, rest = tail.rpartition(MARK)
    return rest.partition(b"\n")[2] if mark else tail


def _older(log: Path) -> Path:
    return log.with_suffix(log.suffix + ".1")


def bound(log: Path) -> None:
    """Keep the log within its bound. QEMU appends, so a shortened file begins anew without a hole."""
    try:
        if log.stat().st_size <= LOG_LIMIT:
            return
        with log.open("rb") as source:
            source.seek(-LOG_LIMIT, os.SEEK_END)
            _older(log).write_bytes(source.read())
        os.truncate(log, 0)
    except OSError:
        return  # a full disk shortens nothing; the next look tries again


class SocketStream:
    """A connected unix socket as a stream: one display. Keeps `velocity.hypervisor.port.ByteStream`."""

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
