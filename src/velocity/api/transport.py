"""Sends the head of a response together with the beginning of its body."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class CoalescingTransport:
    """A transport that sends the head of a response with the beginning of its body: one packet, one system call.

    It holds back a head with a Content-Length until the next write, `flush` or `close`. Reads of a VM's state get 7 %
    more requests per second by it, from 1 connection and from 16, and cost the server 5 % and 3 % less CPU (`python -m
    bench.heads 31`, the median of 31 pairs).
    """

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self._transport = transport
        self._close = close
        self._head = b""
        self.is_closing = transport.is_closing
        self.get_extra_info = transport.get_extra_info
        self.abort = transport.abort

    def write(self, data: bytes) -> None:
        if self._head:
            head, self._head = self._head, b""
            if not self.is_closing():  # a client that has left without reading several responses would not be noticed
                self._transport.writelines((head, data))
        elif data.startswith(b"HTTP/1.1 ") and b"\r\ncontent-length: " in data:
            self._head = data
        elif not self.is_closing():
            self._transport.write(data)

    def flush(self) -> None:
        if self._head:
            self.write(b"")

    def close(self) -> None:
        self.flush()
        self._close()

    def drop_close(self) -> None:
        """Drop the protocol's `close`, a reference cycle that only the garbage collector would find."""
        self._close = self._transport.close
