"""Connections to the unix sockets that QEMU listens on."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

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


@contextlib.contextmanager
def held(path: Path, uid: int) -> Iterator[str]:
    """A name of the very socket that lies there, which is that uid's. Raises `OSError`: there is none.

    Whoever has taken QEMU over may lay a link there, and the server could connect to every socket of the host.
    """
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISSOCK(facts.st_mode) or facts.st_uid != uid:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "this is no socket of its own", str(path))
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
