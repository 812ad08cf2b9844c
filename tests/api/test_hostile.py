"""Of a connection that means harm the server reads so many bytes, answers as the contract says, and ends it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

import pytest

from tests.api.test_bounds import GET, LIMIT, POST, QUICK, answered, connected, is_gone, is_served
from tests.api.world import World
from tests.listening import listening
from tests.patience import PATIENCE
from velocity.api.request import ANONYMOUS_LIMIT
from velocity.api.server import LINGER_BYTES, Protocol

pytestmark = pytest.mark.anyio

READ = 256 << 10
"""Bytes that come in one read of the event loop, at most."""
ENDLESS = 64 << 20
"""Bytes that nobody may send: what is sent beyond what is read lies in buffers of the kernel."""
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
CHUNK = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
UPLOAD = (
    b"PUT /m/media/upload HTTP/1.1\r\nhost: x\r\nx-velocity-mpid: 1\r\nx-velocity-gid: 0\r\nx-velocity-name: a\r\n"
    b"x-velocity-type: ISO\r\nx-velocity-readonly: false\r\nauthorization: Bearer nobody's\r\n"
)
LENGTH = b"content-length: 1000000000000\r\n\r\n"


@dataclass(frozen=True)
class Hostile:
    """What is sent once, and then again and again; how that is answered, and what may be read before the answer."""

    begun: bytes
    piece: bytes
    status: int
    most: int = LIMIT


KINDS = {
    "a header's value": Hostile(GET + b"x: ", b"a", 431),
    "a header's name": Hostile(GET + b"x", b"a", 431),
    "a million header lines": Hostile(GET, b"h: v\r\n", 431),
    "a URL": Hostile(b"GET /", b"a", 431),
    "a method": Hostile(b"", b"A", 400),
    "empty lines": Hostile(b"", b"\r\n", 431),
    "a trailer": Hostile(POST + CHUNKED + b"2\r\n{}\r\n0\r\nx: ", b"a", 431),
    "an extension of a chunk": Hostile(POST + CHUNKED + b"2;x=", b"a", 431),
    "an announced body": Hostile(POST + LENGTH, b" ", 413, ANONYMOUS_LIMIT),
    "a body in chunks": Hostile(POST + CHUNKED, CHUNK, 413, ANONYMOUS_LIMIT),
    "an upload": Hostile(UPLOAD + LENGTH, b" ", 401),
    "an upload in chunks": Hostile(UPLOAD + b"x-velocity-length: 1000000000000\r\n" + CHUNKED, CHUNK, 401),
    "a body that nobody reads": Hostile(GET + LENGTH, b" ", 200),
    "a body for no route": Hostile(GET.replace(b"openapi.json", b"v/nothing") + LENGTH, b" ", 404),
    "a body for another method": Hostile(GET.replace(b"openapi.json", b"v/vm") + LENGTH, b" ", 405),
}


@pytest.mark.holds("BOUND-19")
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_of_what_has_no_end_so_much_is_read_and_then_the_connection_is_closed(w: World, kind: Hostile) -> None:
    read = 0

    class Counting(Protocol):
        def data_received(self, data: bytes) -> None:
            nonlocal read
            read += len(data)
            super().data_received(data)

    async def send(writer: asyncio.StreamWriter) -> int:
        sent = 0
        piece = kind.piece * (65536 // len(kind.piece))
        with contextlib.suppress(ConnectionError):
            while sent < ENDLESS:
                writer.write(piece)
                await writer.drain()
                sent += len(piece)
                await asyncio.sleep(0.0005)
        return sent

    async with listening(w, http=Counting) as server, connected(server) as (reader, writer):
        writer.write(kind.begun)
        sending = asyncio.create_task(send(writer))
        status, body, _ = await answered(reader)
        assert status == kind.status
        if status != 200:
            assert (body["code"], body["error"], body["reason"]) == (
                100 if status == 401 else status,
                True,
                body["message"],
            )
        async with asyncio.timeout(PATIENCE):
            assert await sending < ENDLESS
        await is_gone(server)
        assert read <= kind.most + LINGER_BYTES + 2 * READ
        await is_served(server)


@pytest.mark.holds("BOUND-19")
@pytest.mark.parametrize(
    "begun", [b"", b"G", GET, GET + b"x: y\r\n", POST + b"content-length: 9\r\n\r\n{"],
    ids=["nothing", "a byte", "half a head", "a line", "half a body"],
)  # fmt: skip
async def test_what_stops_in_the_middle_is_answered_and_closed(w: World, begun: bytes) -> None:
    async with listening(w, QUICK) as server, connected(server) as (reader, writer):
        writer.write(begun)
        status, body, _ = await answered(reader)
        assert (status, body["code"], body["error"], body["reason"]) == (408, 408, True, body["message"])
        async with asyncio.timeout(PATIENCE):
            assert await reader.read() == b""
        await is_gone(server)
