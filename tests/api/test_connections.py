"""An address has so many connections at a time; loopback has no bound."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import uuid
from collections.abc import Iterator

import pytest
from websockets.asyncio.client import connect

from tests.api.test_bounds import GET, Connection, answered
from tests.api.world import World
from tests.journeys.server import in_namespace
from tests.listening import listening
from tests.patience import PATIENCE, eventually
from tests.root import only_root
from velocity.api.bounds import RequestLimits, is_local
from velocity.storage.directory.streams import FileOutgoing

pytestmark = pytest.mark.anyio


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """A network namespace with an address that is not loopback's."""
    only_root("namespaces of the network")
    name = f"vb{uuid.uuid4().hex[:8]}"
    for words in (f"netns add {name}", f"-n {name} link set lo up", f"-n {name} addr add 192.0.2.1/24 dev lo"):
        subprocess.run(["ip", *words.split()], check=True)
    yield name
    subprocess.run(["ip", "netns", "delete", name], check=True)


@pytest.mark.holds("BOUND-12")
async def test_an_address_has_so_many_connections_at_a_time(w: World, elsewhere: str) -> None:
    listener = in_namespace(elsewhere, lambda: socket.create_server(("0.0.0.0", 0)))
    port = listener.getsockname()[1]

    async def come(host: str = "192.0.2.1") -> Connection:
        opened = in_namespace(elsewhere, lambda: socket.create_connection((host, port)))
        return await asyncio.open_connection(sock=opened)

    async def is_full() -> bool:
        one = await come()
        one[1].write(GET + b"\r\n")
        try:
            status, body, _ = await answered(one[0])
        except (ConnectionError, asyncio.IncompleteReadError):
            return True
        one[1].close()
        assert status in (200, 429)
        assert status == 200 or "3 connections from 192.0.2.1" in body["message"]
        return status == 429

    async with listening(w, RequestLimits(connections=3), listener):
        first = [await come() for _ in range(2)]
        ticket = await w.ok("POST", "/v/vm/console", vmid=await running(w), kind="serial")
        opened = in_namespace(elsewhere, lambda: socket.create_connection(("192.0.2.1", port)))
        async with connect(f"ws://192.0.2.1:{port}{ticket['path']}", sock=opened, proxy=None, compression=None):
            assert await is_full(), "a websocket counts like any other"
            local = await come("127.0.0.1")
            local[1].write(GET + b"\r\n")
            assert (await answered(local[0]))[0] == 200, "loopback has no bound"
            local[1].close()
        async with asyncio.timeout(PATIENCE):
            while await is_full():
                await asyncio.sleep(0.05)
        for _, writer in first:
            writer.close()
        for _ in range(5):
            async with asyncio.timeout(PATIENCE):
                while await is_full():
                    await asyncio.sleep(0.05)


async def running(w: World) -> int:
    vmid = await w.vm()
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    return vmid


@pytest.mark.parametrize(
    ("address", "local"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("::ffff:127.0.0.1", True), ("", True),
     ("192.0.2.1", False), ("::ffff:192.0.2.1", False), ("2001:db8::127.0.0.1", False)],
)  # fmt: skip
def test_what_is_loopback(address: str, local: bool) -> None:
    assert is_local(address) is local


@pytest.mark.holds("API-23")
@pytest.mark.parametrize("behind", [b"", GET + b"\r\n"], ids=["alone", "another behind it"])
async def test_a_stream_ends_with_its_connection_also_where_a_request_waits_behind_it(w: World, behind: bytes) -> None:
    watch = b"GET /v/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer " + w.key.encode() + b"\r\n\r\n"
    readers = w.server.services.events.readers
    async with listening(w) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(watch + behind)
        async with asyncio.timeout(PATIENCE):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            assert readers.count == 1
            writer.transport.abort()
            await eventually(lambda: not readers.count)


@pytest.mark.holds("API-23")
async def test_a_download_ends_with_its_connection_although_a_request_waits_behind_it(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the medium is read for nobody."""
    mid = (await w.upload(b"x" * (64 << 20), x_velocity_type="DISK"))["mid"]
    reads: list[int] = []
    read = FileOutgoing.read

    async def counted(outgoing: FileOutgoing, offset: int, length: int) -> bytes:
        reads.append(offset)
        return await read(outgoing, offset, length)

    monkeypatch.setattr(FileOutgoing, "read", counted)
    get = f"GET /m/media/content/{mid} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {w.key}\r\n\r\n".encode()
    async with listening(w) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1 << 16)
        writer.write(get + GET + b"\r\n")
        async with asyncio.timeout(PATIENCE):
            await reader.readuntil(b"\r\n\r\n")
            writer.transport.abort()
            await eventually(lambda: not server.server.server_state.tasks)
    assert len(reads) < 60, "of 64 pieces"
