"""Who is not known yet gets little: the head of a request, a body without an authkey, and connections have bounds."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import ssl
import subprocess
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.answers import ANY, note
from tests.api.world import World
from tests.listening import Listening, listening
from tests.patience import PATIENCE, eventually
from velocity.api.bounds import RequestLimits
from velocity.api.tls import Certificate

pytestmark = pytest.mark.anyio

GET = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n"
POST = b"POST /v/vm/list HTTP/1.1\r\nhost: x\r\n"
LIMIT = RequestLimits().head
QUICK = RequestLimits(seconds=0.3)
"""Seconds in which whatever is waited for has come, also on a busy machine."""
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(server: Listening, **more: Any) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, **more)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


async def answered(reader: asyncio.StreamReader) -> tuple[int, dict[str, Any], bytes]:
    """Status and body of the next answer, and its head."""
    async with asyncio.timeout(PATIENCE):
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return int(head.split()[1]), json.loads(await reader.readexactly(length)), head


async def refused(connection: Connection, status: int) -> dict[str, Any]:
    """The refusal, after which the connection ends."""
    got, body, head = await answered(connection[0])
    assert (got, body["code"], body["error"], body["reason"]) == (status, status, True, body["message"])
    assert b"connection: close\r\n" in head
    note(ANY, ANY, got, body["code"])
    async with asyncio.timeout(PATIENCE):
        with contextlib.suppress(ConnectionError):  # of what was sent meanwhile
            assert await connection[0].read() == b"", "and nothing behind it"
    return body


async def is_served(server: Listening) -> None:
    """Somebody else is."""
    async with asyncio.timeout(PATIENCE), connected(server) as (reader, writer):
        writer.write(GET + b"\r\n")
        assert (await answered(reader))[0] == 200


async def is_gone(server: Listening) -> None:
    """Every connection is."""
    await eventually(lambda: not server.server.server_state.connections)


@pytest.mark.holds("BOUND-10")
@pytest.mark.parametrize(
    ("begun", "piece"),
    [(GET + b"x: ", b"a"), (GET + b"x", b"a"), (b"GET /", b"a"), (b"", b"\r\n")],
    ids=["value", "name", "url", "empty lines"],
)
async def test_an_endless_head_is_refused_and_holds_up_nobody(w: World, begun: bytes, piece: bytes) -> None:
    async with listening(w) as server, connected(server) as connection:
        connection[1].write(begun)
        for _ in range(LIMIT // 8192 + 1):
            connection[1].write(piece * (8192 // len(piece)))
            await asyncio.sleep(0.001)
        await refused(connection, 431)
        await is_served(server)


async def test_a_million_header_lines_are_not_taken(w: World) -> None:
    async with listening(w) as server, connected(server) as (reader, writer):
        lines = b"".join(b"h%d: v\r\n" % number for number in range(20_000))
        writer.write(GET + lines)
        await refused((reader, writer), 431)
        await is_served(server)


@pytest.mark.holds("BOUND-10")
async def test_a_head_of_just_so_many_lines_passes_and_one_line_more_does_not(w: World) -> None:
    """Also in a trailer, and in pieces; what is behind the refusal gets no second one."""
    lines = b"".join(b"h%d: v\r\n" % number for number in range(RequestLimits().lines - 1))  # host is one
    async with listening(w) as server:
        async with connected(server) as (reader, writer):
            writer.write((GET + lines + b"\r\n") * 2)
            for _ in range(2):
                assert (await answered(reader))[0] == 200
        chunked = POST + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
        for sent in (GET + lines + b"one: more\r\n\r\n", GET + lines * 20, chunked + lines + b"one: more\r\n"):
            for size in (len(sent), 1000):
                async with connected(server) as connection:
                    for at in range(0, len(sent), size):
                        connection[1].write(sent[at : at + size])
                        await asyncio.sleep(0)
                    assert "256 lines" in (await refused(connection, 431))["message"]
        await is_served(server)


async def test_who_sends_nonsense_writes_nothing_into_the_log(w: World, caplog: pytest.LogCaptureFixture) -> None:
    async with listening(w) as server:
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        logging.getLogger("uvicorn").addHandler(caplog.handler)
        for sent in (b"nonsense\r\n\r\n", b"CONNECT x:80 HTTP/1.1\r\n\r\n", GET + b"h: v\r\n" * 1000):
            async with connected(server) as (reader, writer):
                writer.write(sent)
                assert (await answered(reader))[0] in (400, 431)
        async with connected(server) as (reader, writer):
            writer.write(GET + b"connection: upgrade\r\nupgrade: nothing\r\n\r\n")
            await answered(reader)
        await is_served(server)
    logging.getLogger("uvicorn").removeHandler(caplog.handler)
    assert caplog.records == []


async def test_who_goes_on_sending_behind_a_refusal_is_cut_off(w: World) -> None:
    async with listening(w) as server, connected(server) as (_, writer):
        writer.write(GET + b"x: ")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 100 << 20:
                writer.write(b"a" * 65536)
                await writer.drain()
                sent += 65536
        assert sent < 100 << 20
        await is_served(server)


async def test_behind_the_last_chunk_there_is_no_endless_trailer(w: World) -> None:
    """An authkey does not help: a body's end is no place for more than a head has."""
    for behind in (b"0\r\nx: ", b"0;x="):
        async with listening(w) as server, connected(server) as (reader, writer):
            writer.write(POST + b"authorization: Bearer x\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n" + behind)
            for _ in range(20):
                writer.write(b"a" * 16384)
                await asyncio.sleep(0.005)
            await refused((reader, writer), 431)
            await is_served(server)


async def test_a_head_of_60_kib_is_none_too_large_whole_in_pieces_and_in_line(w: World) -> None:
    head = GET + b"".join(b"h%d: %s\r\n" % (number, b"v" * 1000) for number in range(60)) + b"\r\n"
    assert 60_000 < len(head) < LIMIT
    async with listening(w) as server, connected(server) as (reader, writer):
        writer.write(head)
        assert (await answered(reader))[0] == 200
        for at in range(0, len(head), 7000):
            writer.write(head[at : at + 7000])
            await asyncio.sleep(0.001)
        assert (await answered(reader))[0] == 200
        writer.write(head * 5)
        for _ in range(5):
            assert (await answered(reader))[0] == 200


async def test_a_head_of_just_the_limit_passes_and_one_byte_more_does_not(w: World) -> None:
    for more, status in ((0, 200), (1, 431)):
        async with listening(w) as server, connected(server) as (reader, writer):
            begun = GET + b"x: "
            writer.write(begun + b"a" * (LIMIT - len(begun) - 4 + more) + b"\r\n\r\n")
            assert (await answered(reader))[0] == status


@pytest.mark.holds("BOUND-10")
async def test_a_head_that_does_not_come_is_not_waited_for(w: World) -> None:
    async def begin(server: Listening, begun: bytes) -> None:
        async with connected(server) as connection:
            connection[1].write(begun)
            assert "0.3 seconds" in (await refused(connection, 408))["message"]

    async def drip(server: Listening) -> None:
        async with connected(server) as connection:
            refusal = asyncio.create_task(refused(connection, 408))
            connection[1].write(GET)
            for _ in range(1000):
                if refusal.done():
                    break
                connection[1].write(b"x: y\r\n")
                await asyncio.sleep(0.02)
            await refusal

    async with listening(w, QUICK) as server:
        await asyncio.gather(drip(server), *(begin(server, begun) for begun in (b"", b"G", GET, b"\r\n")))
        await is_gone(server)


@pytest.mark.holds("BOUND-18")
async def test_a_connection_that_was_reset_holds_no_memory(w: World) -> None:
    """Neither for a timer nor for the collector, however large its head is."""
    held: list[weakref.ref[Any]] = []
    async with listening(w) as server:
        gc.disable()
        try:
            for _ in range(3):
                async with connected(server) as (reader, writer):
                    writer.write(
                        GET + b"".join(b"h%d: %s\r\n" % (number, b"v" * 200) for number in range(250)) + b"\r\n"
                    )
                    async with asyncio.timeout(PATIENCE):
                        await reader.readuntil(b"\r\n\r\n")  # and leave with the rest unread
                    held += map(weakref.ref, server.server.server_state.connections)
                    writer.transport.abort()
                await is_gone(server)
            await asyncio.sleep(0.1)
            assert len(held) == 3
            assert [one() for one in held] == [None] * 3
        finally:
            gc.enable()


async def test_the_next_head_on_a_connection_has_its_seconds_too(w: World) -> None:
    async with listening(w, QUICK) as server, connected(server) as connection:
        connection[1].write(GET + b"\r\n")
        assert (await answered(connection[0]))[0] == 200
        connection[1].write(GET)
        await refused(connection, 408)


async def test_a_connection_is_kept_between_requests_for_longer_than_a_head_has(w: World) -> None:
    async with listening(w, QUICK) as server, connected(server) as (reader, writer):
        for _ in range(2):
            writer.write(GET + b"\r\n")
            assert (await answered(reader))[0] == 200
            await asyncio.sleep(1.5)


@pytest.mark.holds("BOUND-11")
async def test_a_body_of_nobody_that_does_not_come_is_not_waited_for(w: World) -> None:
    async def begin(server: Listening, begun: bytes) -> None:
        async with connected(server) as connection:
            connection[1].write(POST + begun)
            assert "authkey" in (await refused(connection, 408))["message"]

    async with listening(w, QUICK) as server:
        whole, pieces = b"content-length: 1000\r\n\r\n{", b"transfer-encoding: chunked\r\n\r\n1\r\n{"
        await asyncio.gather(begin(server, whole), begin(server, pieces))
        await is_gone(server)
        assert not server.server.server_state.tasks


async def test_what_nobody_reads_of_a_body_of_nobody_is_not_waited_for(w: World) -> None:
    async with listening(w, QUICK) as server, connected(server) as (reader, writer):
        writer.write(GET + b"content-length: 1000000\r\n\r\n{")
        assert (await answered(reader))[0] == 200
        for _ in range(50):
            writer.write(b"x")
            await asyncio.sleep(0.01)
        await is_gone(server)


@pytest.mark.holds("BOUND-11")
async def test_a_body_of_nobody_has_64_kib_and_with_an_authkey_more(w: World) -> None:
    body = b'{"gid": 0}' + b" " * LIMIT
    sent = POST + b"content-length: %d\r\n" % len(body)
    async with listening(w) as server:
        for header, status in (
            ("x: y", 413),
            ("cookie: other=1", 413),
            (f"authorization: Bearer {w.key}", 200),
            (f"x-velocity-authkey: {w.key}", 200),
            ("cookie: velocity=x", 403),
        ):
            async with connected(server) as (reader, writer):
                writer.write(sent + header.encode() + b"\r\n\r\n" + body)
                assert (await answered(reader))[0] == status, header
        async with connected(server) as (reader, writer):
            writer.write(POST + b"transfer-encoding: chunked\r\n\r\n" + b"8000\r\n" + b" " * 0x8000 + b"\r\n")
            writer.write((b"8000\r\n" + b" " * 0x8000 + b"\r\n") * 2)
            status, answer, _ = await answered(reader)
            assert (status, answer["code"]) == (413, 413)
            assert "authkey" in answer["message"]


@pytest.mark.holds("BOUND-11")
async def test_a_slow_upload_with_an_authkey_has_all_the_time_it_takes(w: World) -> None:
    data = bytes(range(256)) * 4096 * 5
    head = (
        "PUT //m/media/upload HTTP/1.1\r\nhost: x\r\nx-velocity-mpid: 1\r\nx-velocity-gid: 0\r\nx-velocity-name: a\r\n"
        f"x-velocity-type: ISO\r\nx-velocity-readonly: false\r\nx-velocity-authkey: {w.key}\r\n"
    )
    async with listening(w, QUICK) as server:
        for length in (f"content-length: {len(data)}", f"x-velocity-length: {len(data)}\r\ntransfer-encoding: chunked"):
            async with connected(server) as (reader, writer):
                name = head.replace("name: a", f"name: {len(length)}")
                writer.write(f"{name}{length}\r\n\r\n".encode())
                for at in range(0, len(data), 1 << 20):
                    piece = data[at : at + (1 << 20)]
                    writer.write(piece if "content" in length else b"%x\r\n%s\r\n" % (len(piece), piece))
                    await asyncio.sleep(0.3)
                writer.write(b"" if "content" in length else b"0\r\n\r\n")
                status, answer, _ = await answered(reader)
                assert (status, answer["size"]) == (200, len(data))


async def test_an_answer_that_takes_long_is_not_cut_by_a_head_behind_it(w: World) -> None:
    """A stream goes on for hours; what the client has begun to send behind it can wait."""
    async with listening(w, QUICK) as server, connected(server) as (reader, writer):
        writer.write(f"GET /v/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {w.key}\r\n\r\n".encode())
        async with asyncio.timeout(PATIENCE):
            assert b"200" in await reader.readuntil(b"\r\n\r\n")
        writer.write(GET)
        await asyncio.sleep(2.5)
        await w.vm("new")
        async with asyncio.timeout(PATIENCE):
            await reader.readuntil(b'"new"')


async def test_it_holds_with_tls_and_for_its_handshake(w: World, tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
         "-subj", "/CN=x", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    tls = ssl.create_default_context(cafile=str(certificate))
    tls.check_hostname = False
    async with (
        listening(w, RequestLimits(seconds=2), tls=Certificate(str(certificate), str(key)).context) as server,
        connected(server) as (reader, _),
        connected(server, ssl=tls) as silent,
        connected(server, ssl=tls) as talking,
    ):
        talking[1].write(GET + b"x: " + b"a" * (LIMIT + 1000))
        await refused(talking, 431)
        await refused(silent, 408)
        async with asyncio.timeout(PATIENCE):
            assert await reader.read() == b"", "no word of a handshake, and it has ended"
