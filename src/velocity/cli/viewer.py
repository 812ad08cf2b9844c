"""A display for a VNC viewer on this machine: a local port that forwards RFB to the server, one viewer at a time."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import click

from velocity.client import ClientError, Console


def listen(port: int) -> socket.socket:
    """Listen on loopback; port 0 chooses a free one. Raises `click.ClickException`."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise click.ClickException(f"cannot listen on port {port} ({error.strerror}): choose another") from None


def serve(listener: socket.socket, opened: Callable[[], Console]) -> None:
    """Give each viewer a new console, until Ctrl-C. Raises `ClientError` if the display cannot be opened."""
    while True:
        viewer, address = listener.accept()
        with viewer:
            if not own(address[1], listener.getsockname()[1]):
                click.echo("refused: the connection comes from another account of this machine", err=True)
                continue
            carry(viewer, opened())


def carry(viewer: socket.socket, console: Console) -> None:
    """Copy bytes both ways until one side ends."""

    def show() -> None:
        with contextlib.suppress(OSError):
            while data := console.receive():
                viewer.sendall(data)
            viewer.shutdown(socket.SHUT_RDWR)

    shower = threading.Thread(target=show, daemon=True)
    shower.start()
    try:
        with contextlib.suppress(OSError, ClientError):
            while data := viewer.recv(64 << 10):
                console.send(data)
    finally:
        console.close()
        shower.join()


def own(port: int, to: int, table: Path = Path("/proc/net/tcp")) -> bool:
    """Whether our account or root made the connection: any account can connect to a local port. proc(5), net/tcp"""
    address = struct.unpack("=I", socket.inet_aton("127.0.0.1"))[0]
    wanted = [f"{address:08X}:{port:04X}", f"{address:08X}:{to:04X}"]
    try:
        rows = [line.split() for line in table.read_text().splitlines()[1:]]
    except OSError:
        return True  # not on Linux: unknown
    return any(row[1:3] == wanted and int(row[7]) in (0, os.getuid()) for row in rows)
