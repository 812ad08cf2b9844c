"""Many who read a stream of events, in one thread: what comes is looked at for a mark, and thrown away."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterable
from types import TracebackType

from bench.server import Wrong

PATIENCE = 60.0
"""Seconds until the last of them has what it waits for."""
SNAPSHOT = b"\nid: "
"""Ends the first event of each."""
KEPT = 128
"""Bytes of what came before: a mark may come in two pieces."""


class Readers:
    """One for each key. They all have their first event when the `with` block begins."""

    def __init__(self, port: int, keys: Iterable[str], path: str = "/v/events") -> None:
        self._selector = selectors.DefaultSelector()
        self._came: dict[socket.socket, bytes] = {}
        for key in keys:
            one = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
            one.sendall(f"GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n\r\n".encode())
            self._selector.register(one, selectors.EVENT_READ)
            self._came[one] = b""

    def __enter__(self) -> Readers:
        try:
            self.until(SNAPSHOT)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        for one in self._came:
            one.close()
        self._selector.close()

    def until(self, mark: bytes) -> None:
        """Returns when every one has read that."""
        waiting = set(self._came)
        end = time.monotonic() + PATIENCE
        while waiting:
            ready = self._selector.select(max(end - time.monotonic(), 0))
            if not ready:
                raise Wrong(f"{len(waiting)} readers still wait for {mark!r}")
            for found, _ in ready:
                one, came = self._read(found.fileobj)
                if mark in came:
                    waiting.discard(one)

    def _read(self, one: object) -> tuple[socket.socket, bytes]:
        """What has come, after the end of what came before."""
        assert isinstance(one, socket.socket)
        if not (more := one.recv(1 << 18)):
            raise Wrong("a stream of events has ended")
        came = self._came[one] + more
        self._came[one] = came[-KEPT:]
        return one, came

    def drain(self) -> None:
        """Read what has come meanwhile, of whatever: a piece of each, or it might never end."""
        for found, _ in self._selector.select(0):
            self._read(found.fileobj)
