"""The application of a test's world behind the real HTTP server, in the test's own loop."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from tests.api.world import World
from tests.passing_on import pass_on
from velocity.api.bounds import RequestLimits
from velocity.api.server import Protocol, Server
from velocity.api.websocket import WebSocketProtocol


class Steps:
    """In which step of the loop something was taken by a connection, each time."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.now = 0
        self._counts = False

    def count(self) -> None:
        """From here on, until `end`."""
        self._counts = True
        self._step()

    def end(self) -> None:
        self._counts = False

    def _step(self) -> None:
        self.now += 1
        if self._counts:
            asyncio.get_running_loop().call_soon(self._step)

    def protocol(self, counted: Callable[[bytes], bool]) -> type[Protocol]:
        """One that notes what of the bytes is to be counted."""
        steps = self

        class Counting(Protocol):
            def take(self, data: bytes) -> bool:
                if counted(data):
                    steps.taken.append(steps.now)
                return super().take(data)

        return Counting


@dataclass
class Listening:
    url: str
    port: int
    server: Server
    task: asyncio.Task[None]

    async def end(self) -> None:
        self.server.end()
        await self.task


@asynccontextmanager
async def listening(
    w: World,
    bounds: RequestLimits | None = None,
    listener: socket.socket | None = None,
    tls: ssl.SSLContext | None = None,
    **more: Any,
) -> AsyncIterator[Listening]:
    """`more`: of uvicorn's settings."""
    listener = listener or socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    config = uvicorn.Config(
        w.server.asgi,
        lifespan="off",
        log_level="error",
        ws=WebSocketProtocol,
        **{"http": Protocol, "timeout_graceful_shutdown": 5, **more},
    )
    services = w.server.services
    find, turns = services.access.sessions.find, services.turns
    server = Server(config, services.events.readers.end, find, turns, bounds, tls)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    port = listener.getsockname()[1]
    made = Listening(f"http://127.0.0.1:{port}", port, server, task)
    try:
        yield made
    finally:
        await made.end()
        listener.close()


@asynccontextmanager
async def breaking(port: int) -> AsyncIterator[tuple[int, Callable[[], Awaitable[None]]]]:
    """A way to that port which can be broken: its own port, and what breaks all connections on it."""
    ends: set[asyncio.StreamWriter] = set()
    serving: set[asyncio.Task[None]] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        task.add_done_callback(serving.discard)
        await pass_on(reader, writer, ("127.0.0.1", port), ends, carry)

    async def broken() -> None:
        for end in ends:
            end.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], broken
    finally:
        server.close()
        await broken()
        await asyncio.gather(*serving)
