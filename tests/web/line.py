"""A TCP line to a server that can be cut: what is on it is reset, and nobody gets through until it is mended.

It can be held as well: then what is sent waits, as with a server that does not respond.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from types import TracebackType

from tests.patience import PATIENCE
from tests.reserved import reserved

log = logging.getLogger(__name__)
AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER: what is closed is reset, and what is still on its way is lost. socket(7)"""


class Line:
    """Between clients on `port` and the server on `to`, both on the loopback. A context manager."""

    def __init__(self, to: int) -> None:
        self._place = reserved()
        self.port: int = self._place.getsockname()[1]
        self.is_cut = threading.Event()
        self._to = to
        self._left: int | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._passed: dict[int, list[int]] = {}
        """By a client's port: the bytes that it has sent, and those that it got."""
        self._serving: set[asyncio.Task[None]] = set()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut_after(self, sent: int) -> None:
        """Cut it as soon as the clients have sent so many bytes more."""
        self.is_cut.clear()
        self._tell(lambda: setattr(self, "_left", sent))

    def hold(self) -> None:
        """Let nothing through, and keep what is sent."""
        self._tell(lambda: self._flows.clear())

    def let_go(self) -> None:
        self._tell(lambda: self._flows.set())

    def mend(self) -> None:
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(PATIENCE)

    def __enter__(self) -> Line:
        self._thread.start()
        assert self._begun.wait(PATIENCE)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        log.warning("on the line, by client: %s", self._passed)  # told of a test that fails
        self._tell(self._over.set)
        self._thread.join()
        self._place.close()

    def _tell(self, what: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(what)

    async def _run(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        self._flows = asyncio.Event()
        self._flows.set()
        await self._listen()
        self._begun.set()
        await self._over.wait()
        self._cut()
        await asyncio.gather(*self._serving)

    async def _listen(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port))
        listener.setblocking(False)
        self._listener = listener
        self._loop.add_reader(listener, self._accept)
        self.is_cut.clear()

    def _accept(self) -> None:
        """By no call of asyncio: who is just coming as that is cancelled would be forgotten."""
        try:
            client, _ = self._listener.accept()
        except OSError:  # who came has gone
            return
        client.setblocking(False)
        task = asyncio.create_task(self._serve(client))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, client: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=client)
        port = writer.get_extra_info("peername")[1]
        passed = self._passed[port] = [0, 0]
        with contextlib.suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
            both = {writer, far_writer}
            if self.is_cut.is_set():  # meanwhile
                _reset(both)
                return
            self._ends |= both
            up = self._pass_on(reader, far_writer, passed, True)
            await asyncio.gather(up, self._pass_on(far_reader, writer, passed, False))
            self._ends -= both
            far_writer.close()
        writer.close()
        if self._passed.get(port) is passed:
            del self._passed[port]

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passed: list[int], counts: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(1 << 16):
                await self._flows.wait()
                passed[0 if counts else 1] += len(piece)
                writer.write(piece)
                await writer.drain()
                if counts and self._left is not None:
                    self._left -= len(piece)
                    if self._left <= 0:
                        self._cut()
                        return
            writer.write_eof()

    def _cut(self) -> None:
        self._left = None
        self._flows.set()
        if self._listener.fileno() >= 0:  # not cut yet
            self._loop.remove_reader(self._listener)
            self._listener.close()
        _reset(self._ends)
        self._ends.clear()
        self.is_cut.set()


def _reset(ends: Iterable[asyncio.StreamWriter]) -> None:
    for end in ends:
        with contextlib.suppress(OSError):  # one that is closed already
            end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        end.transport.abort()
