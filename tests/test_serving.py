"""Servers of tests end with the test, also with one that fails."""

from __future__ import annotations

import asyncio
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.passing_on import pass_on
from tests.patience import PATIENCE, eventually
from tests.reserved import reserved
from tests.serving import serving


def test_a_server_in_a_thread_ends_with_a_test_that_fails() -> None:
    before = set(threading.enumerate())
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    with pytest.raises(ZeroDivisionError), serving(server):
        raise ZeroDivisionError
    assert set(threading.enumerate()) <= before, "those of others may end meanwhile"
    assert server.socket.fileno() == -1


def test_a_port_that_is_reserved_is_listened_on_by_who_names_it_and_by_nobody_else() -> None:
    with reserved() as place:
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(place.getsockname()).close()
            with socket.create_server(place.getsockname()):
                socket.create_connection(place.getsockname()).close()
        with socket.socket() as other, pytest.raises(OSError, match="Address already in use"):
            other.bind(place.getsockname())  # as the kernel sees it when it is asked for any port


@pytest.mark.anyio
@pytest.mark.parametrize("lets_in", [True, False])
async def test_what_is_passed_on_is_closed_when_it_is_aborted(lets_in: bool) -> None:
    """Also one that waits for a peer that reads nothing, or to whom nobody answers."""
    ends: set[asyncio.StreamWriter] = set()
    served: list[asyncio.Task[None]] = []
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    if lets_in:
        listener.listen()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.create_task(pass_on(reader, writer, listener.getsockname(), ends, carry)))

    with listener:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        _, mine = await asyncio.open_connection(*server.sockets[0].getsockname())
        mine.write(bytes(32 << 20))  # more than buffers hold
        await eventually(lambda: len(ends) == 2 if lets_in else served and served[0].done())
        for end in ends:
            end.transport.abort()
        await asyncio.wait_for(served[0], PATIENCE)
        assert ends == set()
        mine.transport.abort()
        server.close()
