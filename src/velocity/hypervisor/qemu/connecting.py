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
"""Seconds between attempts while the socket's backlog is full: QEMU's is very short."""


async def connected(path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to that socket; waits while QEMU's backlog is full. unix(7), EAGAIN"""
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
def verified(path: Path, uid: int) -> Iterator[str]:
    """A path to exactly the socket that is there now and belongs to that uid. Raises `OSError` if there is none.

    Whoever has taken QEMU over may replace it by a link, through which the server could connect to any socket of the
    host.
    """
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISSOCK(facts.st_mode) or facts.st_uid != uid:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "the socket does not belong to its uid", str(path))
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
