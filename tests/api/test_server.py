"""What goes out on a connection: each answer whole, and nothing that a client waits for is held back."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from pathlib import Path

import pytest
import uvloop
from starlette.types import Receive, Scope, Send

from tests.api.world import World, world
from tests.listening import Listening, listening
from tests.patience import PATIENCE, eventually
from velocity.api.server import Protocol

pytestmark = pytest.mark.anyio


async def said(w: World, *sent: bytes) -> list[bytes]:
    """What comes back after each piece, on one connection: a head, and the body that it announces."""
    answers = []
    async with listening(w) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for piece in sent:
            writer.write(piece)
            async with asyncio.timeout(PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
                announced = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
                body = b"" if piece.startswith(b"HEAD") else await reader.readexactly(int(announced or 0))
            answers.append(head.partition(b"\r\n")[0] + b" | " + body)
        writer.close()
        await writer.wait_closed()
    return answers


async def test_a_head_without_a_body_is_sent(w: World) -> None:
    head = b"HEAD /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n"
    assert await said(w, head, head) == [b"HTTP/1.1 200 OK | "] * 2


async def test_who_waits_to_be_told_to_go_on_is_told(w: World) -> None:
    head = (
        "PUT /m/media/upload HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 4\r\nx-velocity-mpid: 1\r\n"
        f"x-velocity-gid: 0\r\nx-velocity-name: a\r\nx-velocity-type: ISO\r\nx-velocity-readonly: false\r\n"
        f"x-velocity-authkey: {w.key}\r\n\r\n"
    )
    first, second = await said(w, head.encode(), b"abcd")
    assert first == b"HTTP/1.1 100 Continue | "
    assert second.startswith(b'HTTP/1.1 200 OK | {"mid":')


async def test_an_answer_is_whole_before_the_connection_ends(w: World) -> None:
    asked = b"POST /v/vm/list HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"
    (answer,) = await said(w, asked)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request | {")
    (answer,) = await said(w, b"nonsense\r\n\r\n")
    status, _, body = answer.partition(b" | ")
    assert status == b"HTTP/1.1 400 Bad Request"
    assert (json.loads(body)["code"], json.loads(body)["error"]) == (400, True)


@pytest.mark.holds("BOUND-40")
def test_who_reads_no_answer_and_goes_writes_nothing_into_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """On uvloop, as in `velocity serve`: its transports refuse what is written after their end."""

    async def go(server: Listening) -> None:
        state = server.server.server_state
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n" * 30)
            await eventually(
                lambda: any(one.flow.write_paused for one in state.connections if isinstance(one, Protocol))
            )
        await eventually(lambda: not (state.connections or state.tasks))

    async def serve() -> None:
        async with world(tmp_path / "data") as w, listening(w) as server, asyncio.timeout(PATIENCE):
            await go(server)

    uvloop.run(serve())
    assert [one for one in caplog.records if one.levelno >= logging.ERROR] == []


@pytest.mark.holds("DUR-40")
async def test_a_failure_that_nobody_foresaw_is_answered_in_json(w: World) -> None:
    """For want of memory or threads, say, which can strike at any place."""

    async def fails(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise MemoryError

    w.server.asgi.table["/u/user/list"]["POST"] = "", fails  # type: ignore[attr-defined]
    (answer,) = await said(w, b"POST /u/user/list HTTP/1.1\r\nhost: x\r\n\r\n")
    status, _, body = answer.partition(b" | ")
    assert status == b"HTTP/1.1 500 Internal Server Error"
    assert (json.loads(body)["code"], json.loads(body)["error"]) == (500, True)


@pytest.mark.holds("DUR-40")
async def test_an_answer_that_finds_no_memory_itself_is_json(w: World) -> None:
    """Where memory is short, the words for that need some, too."""

    async def fails(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise MemoryError

    w.server.asgi = fails
    (answer,) = await said(w, b"POST /u/user/list HTTP/1.1\r\nhost: x\r\n\r\n")
    head, _, body = answer.partition(b" | ")
    assert head == b"HTTP/1.1 500 Internal Server Error"
    assert (json.loads(body)["code"], json.loads(body)["error"]) == (500, True)


async def begun(w: World, server: Listening) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A request under way, whose body never arrives."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = f"POST /v/vm/list HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {w.key}\r\ncontent-length: 9\r\n\r\n"
    writer.write(head.encode())
    await eventually(lambda: server.server.server_state.tasks, "the request")
    return reader, writer


async def test_a_request_that_the_end_of_the_server_cancels_is_answered_and_leaves_no_connection_open(
    w: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A standby's process goes on, and its client would wait."""
    async with listening(w, timeout_graceful_shutdown=0.1) as server:
        reader, writer = await begun(w, server)
        await server.end()
        async with asyncio.timeout(PATIENCE):
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nconnection: close" in head
        told = json.loads(body)
        assert (told["code"], told["outcome"], told["error"]) == (503, "unknown", True)
        assert "shutting down" in told["message"]
        assert "Exception" not in caplog.text and "Traceback" not in caplog.text
        writer.close()


async def test_a_request_that_is_cancelled_while_the_server_goes_on_has_failed(
    w: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(w) as server:
        reader, writer = await begun(w, server)
        for task in server.server.server_state.tasks:
            task.cancel()
        async with asyncio.timeout(PATIENCE):
            assert (await reader.read()).startswith(b"HTTP/1.1 500 ")
        assert "CancelledError" in caplog.text
        writer.close()
