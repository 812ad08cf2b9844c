"""Connections to the unix sockets that QEMU listens on."""

from __future__ import annotations

import asyncio
import contextlib
import socket

TRY_AGAIN = 0.01
"""Seconds until a socket is tried again where others wait already: QEMU lets very few."""


async def connected(path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the socket there; it waits while so many others do that QEMU has not accepted. unix(7), EAGAIN"""
    with contextlib.ExitStack() as undo:
        plug = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        plug.setblocking(False)
        while True:
            try:
                plug.connect(path)
                break
            except BlockingIOError:
                await asyncio.sleep(TRY_AGAIN)
        streams = await asyncio.open_unix_connection(sock=plug)
        undo.pop_all()
    return streams
