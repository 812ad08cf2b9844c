"""The network between two hosts, as far as machines move over it: what it carries can be held up, and broken."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from tests.passing_on import pass_on
from velocity.hypervisor.port import Landing, MovePhase

CARRIED = {MovePhase.DISKS: 100 << 10, MovePhase.MEMORY: 256 << 10, MovePhase.HANDING_OVER: 0}
"""Bytes that are carried in a phase before it stalls."""


class Link:
    """Carries what comes to ports of its own to those of a landing, and back."""

    def __init__(self) -> None:
        self._goes = asyncio.Event()
        self._goes.set()
        self._stalls = asyncio.Event()
        self._stall_in: MovePhase | None = None
        self._left: int | None = None
        self._servers: list[asyncio.Server] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._carrying: set[asyncio.Task[None]] = set()

    async def through(self, landing: Landing) -> Landing:
        ports = []
        for port in (landing.migration, landing.disks):
            server = await asyncio.start_server(self._accepts(landing.address, port), "127.0.0.1")
            self._servers.append(server)
            ports.append(server.sockets[0].getsockname()[1])
        return msgspec.structs.replace(landing, address="127.0.0.1", migration=ports[0], disks=ports[1])

    def stall_in(self, phase: MovePhase) -> None:
        self._stall_in = phase
        self._stalls.clear()

    def note(self, phase: MovePhase) -> None:
        if phase is self._stall_in:
            self._stall_in, self._left = None, CARRIED[phase]
            if not self._left:
                self._stall()

    def _stall(self) -> None:
        self._goes.clear()
        self._stalls.set()

    @property
    def is_idle(self) -> bool:
        """Whether all of its connections have ended."""
        return not self._carrying

    async def stalled(self) -> None:
        await self._stalls.wait()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self.go_on()

    def go_on(self) -> None:
        self._left = None
        self._goes.set()

    def _accepts(
        self, address: str, port: int
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def accept(near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._carrying.add(task)
            task.add_done_callback(self._carrying.discard)
            await pass_on(near, back, (address, port), self._writers, self._carry)

        return accept

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(64 << 10):
            if self._left is not None and self._left > 0:
                self._left -= len(data)
                if self._left <= 0:
                    self._stall()
            await self._goes.wait()
            writer.write(data)
            await writer.drain()

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        self.cut()
        await asyncio.gather(*self._carrying)
