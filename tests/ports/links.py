"""The network between two hosts, as far as machines move over it: what it carries can be held up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import msgspec

from velocity.hypervisor.port import Landing


class Link:
    """Carries what comes to ports of its own to those of a landing, and back."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.most: int | None = None
        """Bytes that it carries in all from here on; then it stalls. None: without end."""
        self._servers: list[asyncio.Server] = []
        self._carrying: set[asyncio.Task[None]] = set()

    async def through(self, landing: Landing) -> Landing:
        """Where the source is to go instead."""
        ports = []
        for port in (landing.migration, landing.disks):
            server = await asyncio.start_server(self._accepts(landing.address, port), "127.0.0.1")
            self._servers.append(server)
            ports.append(server.sockets[0].getsockname()[1])
        return msgspec.structs.replace(landing, address="127.0.0.1", migration=ports[0], disks=ports[1])

    def stall(self) -> None:
        self.open.clear()

    def go_on(self) -> None:
        self.open.set()

    def _accepts(
        self, address: str, port: int
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def accept(near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
            try:
                far, forth = await asyncio.open_connection(address, port)
            except OSError:
                back.close()
                return
            for reader, writer in ((near, forth), (far, back)):
                task = asyncio.create_task(self._carry(reader, writer))
                self._carrying.add(task)
                task.add_done_callback(self._carrying.discard)

        return accept

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(64 << 10):
                if self.most is not None:
                    self.most -= len(data)
                    if self.most < 0:
                        self.open.clear()
                await self.open.wait()
                writer.write(data)
                await writer.drain()
        writer.close()

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._carrying):
            task.cancel()
        if self._carrying:
            await asyncio.wait(set(self._carrying))
