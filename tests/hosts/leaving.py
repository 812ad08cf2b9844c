"""Streams of a server that are opened, used, and left without a word, as by a browser whose machine is switched off."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from tests.patience import PATIENCE

AT_ONCE = 20
"""That are open at the same time: below what one user may have of each kind."""
SIZE = 1 << 20
"""Bytes that an upload says it has."""
SENT = 16 << 10
"""Those that come of it: what they are kept in is small, so that what stays is seen beside it."""
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dmVsb2NpdHkgbGVhdmVzIQ==\r\n"
)


@dataclass(frozen=True)
class Leaving:
    """Who leaves: by the server's own socket, with an authkey. VM, medium and pool are of another host."""

    way: Path
    key: str
    vmid: int
    mid: str
    mpid: int

    async def leave(self, count: int) -> None:
        """So many streams, of each kind as many as of the others."""
        kinds = itertools.cycle([self.console, self.display, self.news, self.upload, self.download])
        for _ in range(count // AT_ONCE):
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*(kind() for kind in itertools.islice(kinds, AT_ONCE)))

    async def console(self) -> None:
        await self._console("serial")

    async def display(self) -> None:
        await self._console("display")

    async def news(self) -> None:
        async with self._opened(self._head("GET", "/v/events")) as (reader, _):
            await reader.readuntil(b"\nid: ")

    async def upload(self) -> None:
        said = {"mpid": self.mpid, "gid": 0, "name": f"left {uuid4()}", "type": "DISK", "readonly": "false"}
        fields = "".join(f"X-Velocity-{name}: {value}\r\n" for name, value in said.items())
        head = self._head("PUT", "/m/media/upload", f"{fields}Content-Length: {SIZE}\r\nExpect: 100-continue\r\n")
        async with self._opened(head) as (reader, writer):
            assert b" 100 " in await reader.readline()  # its place is there
            writer.write(bytes(SENT))
            await writer.drain()

    async def download(self) -> None:
        async with self._opened(self._head("GET", f"/m/media/content/{self.mid}")) as (reader, _):
            assert b" 200 " in await reader.readline()
            await reader.readexactly(4096)

    async def _console(self, kind: str) -> None:
        body = json.dumps({"vmid": self.vmid, "kind": kind})
        head = self._head("POST", "/v/vm/console", f"Content-Length: {len(body)}\r\nConnection: close\r\n")
        async with self._opened(head + body) as (reader, _):
            answer = await reader.read()
        path = json.loads(answer.partition(b"\r\n\r\n")[2])["path"]
        async with self._opened(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n") as (reader, _):
            assert b" 101 " in await reader.readline()

    def _head(self, method: str, path: str, more: str = "") -> str:
        return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.key}\r\n{more}\r\n"

    @contextlib.asynccontextmanager
    async def _opened(self, first: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection that begins with that, until it is broken off."""
        reader, writer = await asyncio.open_unix_connection(str(self.way))
        try:
            writer.write(first.encode())
            await writer.drain()
            yield reader, writer
        finally:
            writer.transport.abort()
