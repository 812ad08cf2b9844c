"""A person before a display: types, and points somewhere. https://www.rfc-editor.org/rfc/rfc6143"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

from websockets.sync.client import ClientConnection, connect

from tests.journeys.server import Server

ENTER = 0xFF0D
ENCODINGS, KEY, POINTER = 2, 4, 5
APART = 0.05
"""Seconds between two strokes: the firmware looks at its keyboard now and then."""


@contextmanager
def viewing(server: Server, vmid: int, display: str) -> Iterator[Viewer]:
    ticket = server.ok("POST", "/v/vm/console", vmid=vmid, kind="display", display=display)
    url = f"ws://127.0.0.1:{server.port}{ticket['path']}"
    with server.inside(lambda: connect(url, proxy=None, max_size=None)) as socket:
        yield Viewer(socket)


class Viewer:
    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._said = b""
        self._take(12)
        socket.send(b"RFB 003.008\n")
        self._take(self._take(1)[0])
        socket.send(b"\1")  # no password
        self._take(4)
        socket.send(b"\1")  # others may look, too
        self._take(int(struct.unpack(">20xI", self._take(24))[0]))
        # Only now does QEMU ask whether the guest's pointer is absolute.
        socket.send(struct.pack(">BxHi", ENCODINGS, 1, 0))

    def types(self, text: str) -> None:
        for letter in text:
            code = ENTER if letter == "\n" else ord(letter)
            for down in (1, 0):
                self._socket.send(struct.pack(">BBxxI", KEY, down, code))
                time.sleep(APART)

    def points(self, x: int, y: int) -> None:
        self._socket.send(struct.pack(">BBHH", POINTER, 0, x, y))
        time.sleep(APART)

    def _take(self, count: int) -> bytes:
        while len(self._said) < count:
            data = self._socket.recv(60)
            assert isinstance(data, bytes)
            self._said += data
        taken, self._said = self._said[:count], self._said[count:]
        return taken
