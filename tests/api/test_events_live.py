"""The stream of events over the real HTTP server: a hundred readers, one that does not read, cuts, and the end."""

from __future__ import annotations

import asyncio
import resource
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from tests.api.world import World, world
from tests.listening import breaking, listening
from tests.patience import PATIENCE, eventually
from velocity.client import ApiError, AsyncClient
from velocity.client.events import Decoder
from velocity.contract.events import Alive, Bye, Event, InitialState, SetGroup, SetVm
from velocity.events.limits import StreamLimits

pytestmark = pytest.mark.anyio


@pytest.fixture
async def w(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    async with world(tmp_path / "data", event_streams=100) as made:
        yield made


class Raw:
    """One connection, by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.decoder = Decoder()

    @classmethod
    async def open(cls, port: int, key: str, sock: socket.socket | None = None) -> Raw:
        if sock is not None:
            made = cls(*await asyncio.open_connection(sock=sock, limit=1024))
        else:
            made = cls(*await asyncio.open_connection("127.0.0.1", port))
        made.writer.write(f"GET /v/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
        return made

    async def until(self, fits: Callable[[Event | Alive | Bye], bool]) -> list[Event | Alive | Bye]:
        """What came, up to the event that fits; all of it, when the connection ends."""
        found: list[Event | Alive | Bye] = []
        while True:
            async with asyncio.timeout(PATIENCE):
                line = await self.reader.readline()
            if not line:
                return found
            if line.startswith((b"event:", b"data:", b"id:", b"\n", b":")):  # not the head, nor the sizes of chunks
                for event in self.decoder.feed(line):
                    found.append(event)
                    if fits(event):
                        return found


def sets(name: str) -> Callable[[Event | Alive | Bye], bool]:
    return lambda event: isinstance(event, SetVm | SetGroup) and event.object.name == name


async def test_a_hundred_readers(w: World, say: Callable[[str], None]) -> None:
    async with listening(w) as server:
        readers = [await Raw.open(server.port, w.key) for _ in range(100)]
        await asyncio.gather(*(one.until(lambda event: isinstance(event, InitialState)) for one in readers))
        changes = 50
        before, begun = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        told = asyncio.gather(*(one.until(sets(f"vm{changes - 1}")) for one in readers))
        for number in range(changes):
            await w.vm(f"vm{number}")
        heard = await told
        after, took = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - begun
        names = [f"vm{number}" for number in range(changes)]
        for events in heard:
            assert [one.object.name for one in events if isinstance(one, SetVm)] == names
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        say(f"100 readers, {changes} changes: {took:.2f} s, {cpu:.2f} s of CPU for server, readers and all")
        for one in readers:
            one.writer.close()


@pytest.mark.holds("EVENT-6")
async def test_the_end_says_goodbye_and_waits_for_no_stream(w: World) -> None:
    async with listening(w, timeout_graceful_shutdown=10 * PATIENCE) as server:
        readers = [await Raw.open(server.port, w.key) for _ in range(20)]
        await asyncio.gather(*(one.until(lambda event: isinstance(event, InitialState)) for one in readers))
        async with asyncio.timeout(PATIENCE):
            await server.end()
        for one in readers:
            last = await one.until(lambda event: isinstance(event, Bye))
            assert last[-1] == Bye(reason="shutting down")
            one.writer.close()


@pytest.mark.holds("EVENT-5")
async def test_who_does_not_read_is_cut_off_and_holds_up_nobody(tmp_path: Path) -> None:
    async with world(tmp_path / "data", limits=StreamLimits(patience=0.3)) as w, listening(w) as server:
        stuck = socket.socket()
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.setblocking(False)
        await asyncio.get_running_loop().sock_connect(stuck, ("127.0.0.1", server.port))
        request = f"GET /v/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {w.key}\r\n\r\n"
        await asyncio.get_running_loop().sock_sendall(stuck, request.encode())
        other = await Raw.open(server.port, w.key)
        await other.until(lambda event: isinstance(event, InitialState))
        events = w.server.services.events
        await eventually(lambda: events.readers.count == 2)
        displays = [{"name": f"{number}" * 128, "width": 64, "height": 64} for number in range(8)]
        vmid = await w.vm("vm", displays=displays)
        reading = asyncio.create_task(other.until(sets("vm399")))
        for number in range(400):
            await w.ok("PATCH", "/v/vm", vmid=vmid, name=f"vm{number}")
            if number % 20 == 0:
                await asyncio.sleep(0.02)
        await reading
        await eventually(lambda: events.readers.count == 1)
        await eventually(lambda: len(server.server.server_state.connections) == 1, "the end of its connection")
        other.writer.close()
        stuck.close()


@pytest.mark.holds("EVENT-4")
async def test_the_client_goes_on_over_cuts(w: World) -> None:
    async with (
        listening(w) as server,
        breaking(server.port) as (port, broken),
        AsyncClient(f"http://127.0.0.1:{port}", w.key) as client,
        aclosing(client.events()) as events,
    ):
        assert isinstance(await anext(events), InitialState)
        making = asyncio.create_task(make(w, broken))
        names: list[str] = []
        while len(names) < 60:
            event = await anext(events)
            assert not isinstance(event, InitialState)
            if isinstance(event, SetGroup):
                names.append(event.object.name)
        await making
        assert names == [f"g{number}" for number in range(60)], "nothing lost, nothing doubled"


async def make(w: World, broken: Callable[[], Any]) -> None:
    for number in range(60):
        await w.group(f"g{number}")
        if number % 15 == 7:
            await broken()
        await asyncio.sleep(0.01)


async def test_the_client_ends_with_its_session(w: World) -> None:
    async with listening(w) as server, AsyncClient(server.url, await w.user("bob")) as client:
        events = client.events()
        assert isinstance(await anext(events), InitialState)
        await w.ok("DELETE", "/u/auth", client.authkey)
        with pytest.raises(ApiError) as refused:
            await anext(events)
        assert refused.value.code == 100
