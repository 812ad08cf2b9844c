"""A server of the tests' own that files are fetched from, and that misbehaves as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

ETAG = 'ETag: "first"'


@dataclass
class Asked:
    """One request."""

    target: str
    headers: dict[str, str]

    @property
    def offset(self) -> int:
        return int(self.headers.get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))


Serve = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Origin:
    """`files` answers each path; what was asked for is in `asked`."""

    host: str
    port: int
    files: dict[str, Serve] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    def url(self, path: str, host: str | None = None, scheme: str = "http") -> str:
        return f"{scheme}://{host or self.host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request; whatever it is at, it ends with the server."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                pairs = (line.split(": ", 1) for line in lines[1:] if line)
                asked = Asked(lines[0].split()[1], {name.lower(): value for name, value in pairs})
                self.asked.append(asked)
                await self.files[asked.target.partition("?")[0]](asked, writer)
                await writer.drain()
        finally:
            self._serving.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def end(self) -> None:
        tasks = list(self._serving)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def origin(host: str = "127.0.0.1", context: ssl.SSLContext | None = None) -> AsyncIterator[Origin]:
    made = Origin(host, 0)
    server = await asyncio.start_server(made.serve, host, 0, ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        try:
            yield made
        finally:
            await made.end()


def head(status: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "Connection: close", "", ""]).encode()


def answers(status: str, *headers: str, body: bytes = b"") -> Serve:
    """The same each time."""

    async def serve(_asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head(status, f"Content-Length: {len(body)}", *headers) + body)

    return serve


def redirects(to: str) -> Serve:
    return answers("302 Found", f"Location: {to}")


def cut(
    data: bytes, *ends: int, headers: tuple[str, ...] = (ETAG,), ranges: bool = True, chunked: bool = False
) -> Serve:
    """A file that each request gets up to the next of these ends, and whole when there are no more."""
    left = list(ends)

    async def serve(asked: Asked, writer: asyncio.StreamWriter) -> None:
        offset = asked.offset if ranges else 0
        end = left.pop(0) if left else len(data)
        if "range" in asked.headers and ranges:
            told = [f"Content-Range: bytes {offset}-{len(data) - 1}/{len(data)}"]
            status = "206 Partial Content"
        else:
            told, status = [], "200 OK"
        if chunked:
            piece = data[offset:end]
            writer.write(head(status, "Transfer-Encoding: chunked", *told, *headers))
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" + (b"0\r\n\r\n" if end == len(data) else b""))
        else:
            writer.write(head(status, f"Content-Length: {len(data) - offset}", *told, *headers) + data[offset:end])

    return serve


def endless(piece: bytes, pause: float = 0.0) -> Serve:
    """It never ends, and says no length."""

    async def serve(_asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head("200 OK"))
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    return serve


def seeded(seed: int, size: int) -> bytes:
    """A disk of so many bytes: nothing that lies in its first sector says otherwise."""
    return bytes(512) + random.Random(seed).randbytes(size - 512)


@functools.cache
def lasting_origin() -> str:
    """A server that is there as long as its process, with `seeded` under /<seed>/<size>."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seed, size = map(int, self.path.split("/")[1:])
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(seeded(seed, size))

        def log_message(self, format: str, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"
