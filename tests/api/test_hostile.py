"""Of a connection that means harm the server reads so many bytes, answers as the contract says, and ends it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from tests.api.test_bounds import GET, LIMIT, POST, QUICK, answered, connected, is_gone, is_served
from tests.api.world import World
from tests.listening import Steps, listening
from tests.patience import PATIENCE, eventually
from velocity.api.bounds import Refusal
from velocity.api.request import ANONYMOUS_LIMIT
from velocity.api.server import Protocol
from velocity.api.strangers import LINGERING, Lingering, Strangers

pytestmark = pytest.mark.anyio

READ = 256 << 10
"""Bytes that come in one read of the event loop, at most."""
MANY = 40
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
        assert read <= kind.most + 2 * READ
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


@pytest.mark.holds("BOUND-32")
async def test_behind_a_refusal_nothing_is_read_and_little_is_kept(w: World) -> None:
    """What lasts of the connection for a moment is small: its protocol goes at once, without the collector."""
    protocols: list[weakref.ref[Protocol]] = []

    class Known(Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            protocols.append(weakref.ref(self))

    async with listening(w, http=Known) as server, AsyncExitStack() as stack:
        open_ = server.server.server_state.lingering.open
        gc.disable()
        try:
            for begun, status in ((GET + b"x: " + b"a" * LIMIT, 431), (POST + LENGTH + b" " * (LIMIT + 1), 413)):
                reader, writer = await stack.enter_async_context(connected(server))
                writer.write(begun)
                assert (await answered(reader))[0] == status
                async with asyncio.timeout(PATIENCE):
                    assert await reader.read() == b"", "it says that nothing more comes"
                    await eventually(lambda: protocols[-1]() is None)
        finally:
            gc.enable()
        assert len(protocols) == 2
        for _, transport in open_:
            assert not transport.is_reading()
            assert isinstance(transport.get_protocol(), Refusal)
        await eventually(lambda: not open_)
        await is_served(server)


class Transport(asyncio.Transport):
    """Of a connection that was refused."""

    ended = False

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    def abort(self) -> None:
        self.ended = True


@pytest.mark.holds("BOUND-32")
async def test_so_many_refused_connections_stay_for_a_moment_and_then_the_oldest_ends() -> None:
    lingering = Lingering()
    many = [Transport() for _ in range(LINGERING + 20)]
    for one in many:
        lingering.add(one)
    assert [one.ended for one in many] == [True] * 20 + [False] * LINGERING
    lingering.end()
    assert all(one.ended for one in many)


@pytest.mark.holds("BOUND-33")
async def test_of_strangers_one_is_looked_at_a_step_and_others_come_between(w: World) -> None:
    """However many send at once: who is known waits for one of them at most; their own order stays."""
    begun = GET.replace(b"openapi.json", b"v/vm")
    steps = Steps()
    counting = steps.protocol(lambda data: not data.startswith(b"POST"))
    async with listening(w, http=counting) as server, AsyncExitStack() as stack:
        strangers = [await stack.enter_async_context(connected(server)) for _ in range(MANY)]
        reader, writer = await stack.enter_async_context(connected(server))
        asked = POST + b"authorization: Bearer " + w.key.encode() + b"\r\ncontent-length: 9\r\n\r\n" + b'{"gid":0}'
        writer.write(asked)
        assert (await answered(reader))[0] == 200
        steps.count()
        for _, to in strangers:
            to.write(begun)
        writer.write(asked)
        assert (await answered(reader))[0] == 200
        assert len(steps.taken) < MANY, "they wait still"
        for _, to in strangers:
            to.write(b"\r\n" + begun + b"\r\n")
        for come, _ in strangers:
            assert [(await answered(come))[0] for _ in range(2)] == [405, 405]
        steps.end()
        assert len(set(steps.taken)) == len(steps.taken) >= MANY, "one a step"


class Sender(Transport):
    """A connection of which only the address matters, and what was taken and when it was not read."""

    def __init__(self, address: str, taken: list[tuple[str, bytes]]) -> None:
        self.address = address
        self.taken = taken
        self.paused = 0
        self.plain: asyncio.Transport = self
        self.flow = FlowControl(self)

    def take(self, data: bytes) -> None:
        self.taken.append((self.address, data))

    def pause_reading(self) -> None:
        self.paused += 1

    def resume_reading(self) -> None:
        self.paused -= 1


@pytest.mark.holds("BOUND-33")
async def test_addresses_of_strangers_have_turns() -> None:
    taken: list[tuple[str, bytes]] = []
    strangers = Strangers()
    greedy, other = (Sender(address, taken) for address in ("192.0.2.1", "192.0.2.2"))
    for number in range(10):
        strangers.came(greedy, b"%d" % number)
    strangers.came(other, b"little")
    assert (len(taken), greedy.paused, other.paused) == (1, 9, 1), "the first at once, and the others are not read"
    for step in range(2, 12):
        await asyncio.sleep(0)
        assert len(taken) == step
    assert taken.index(("192.0.2.2", b"little")) == 2
    assert [data for address, data in taken if address == "192.0.2.1"] == [b"%d" % number for number in range(10)]
    assert (greedy.paused, other.paused) == (0, 0)
