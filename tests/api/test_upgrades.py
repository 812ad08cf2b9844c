"""What a request asks to be upgraded to is passed over, but for websockets: it is answered as if it did not ask."""

from __future__ import annotations

import asyncio
import sys

import pytest
from starlette.types import Receive, Scope, Send

from tests.api.test_bounds import answered, connected
from tests.api.world import World
from tests.listening import listening
from velocity.api.answer import Json

pytestmark = pytest.mark.anyio

H2C = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n"
"""As Java's HttpClient and `curl --http2` send it to a server without TLS."""
WEBSOCKET = (
    b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
BODY = b'{"gid":0}'
WHOLE, CHUNKED = (
    b"content-length: 9\r\n\r\n" + BODY,
    b"transfer-encoding: chunked\r\n\r\n9\r\n" + BODY + b"\r\n0\r\n\r\n",
)


@pytest.mark.holds("API-18")
@pytest.mark.parametrize("size", [1, 7, 1 << 16])
@pytest.mark.parametrize(
    ("more", "body"), [(H2C, WHOLE), (H2C, CHUNKED), (WEBSOCKET, WHOLE)], ids=["h2c", "chunks", "ws"]
)
async def test_a_request_that_asks_for_another_protocol_is_answered_in_this_one(
    w: World, more: bytes, body: bytes, size: int
) -> None:
    """In pieces, too, and so are those behind it."""
    head = b"POST /v/vm/list HTTP/1.1\r\nhost: x\r\nauthorization: Bearer " + w.key.encode() + b"\r\n"
    sent = (head + more + body) * 2 + head + body
    async with listening(w) as server, connected(server) as (reader, writer):
        for at in range(0, len(sent), size):
            writer.write(sent[at : at + size])
            await asyncio.sleep(0)
        for _ in range(3):
            status, answer, _ = await answered(reader)
            assert (status, answer) == (200, {"vms": []})


@pytest.mark.holds("API-18")
async def test_a_handshake_with_a_body_is_no_handshake(w: World) -> None:
    """It would wait for the body, which nobody would read, for ever."""
    sent = b"GET /v/vm/list HTTP/1.1\r\nhost: x\r\n" + WEBSOCKET + WHOLE
    async with listening(w) as server, connected(server) as (reader, writer):
        writer.write(sent)
        assert (await answered(reader))[0] == 405


@pytest.mark.holds("API-18")
async def test_a_handshake_behind_a_request_that_is_not_answered_yet_is_no_handshake(w: World) -> None:
    """The answer would come amid the frames of the websocket."""
    get = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n"
    console = b"GET /v/vm/console/ticket HTTP/1.1\r\nhost: x\r\n" + WEBSOCKET + b"\r\n"
    async with listening(w) as server, connected(server) as (reader, writer):
        writer.write(get + console + get)
        assert [(await answered(reader))[0] for _ in range(3)] == [200, 426, 200]


@pytest.mark.holds("API-22")
async def test_as_many_requests_that_ask_for_another_protocol_as_fit_into_one_piece_are_answered(
    w: World, caplog: pytest.LogCaptureFixture
) -> None:
    """More of them than Python's functions call each other."""
    one = b"GET /openapi.json HTTP/1.1\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"
    last = b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n"
    many = 2 * sys.getrecursionlimit()
    w.server.asgi = _brief
    async with listening(w) as server, connected(server) as (reader, writer):
        writer.write(one * many + last)
        for _ in range(many):
            assert (await answered(reader))[:2] == (200, {"path": "/openapi.json"})
        assert (await answered(reader))[:2] == (200, {"path": "/nowhere"})
    assert not caplog.records


async def _brief(scope: Scope, receive: Receive, send: Send) -> None:
    await Json(b'{"path":"%b"}' % scope["path"].encode())(scope, receive, send)
