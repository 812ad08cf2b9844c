"""Connections whose user is not known yet: they take turns with other work, and refusing them is cheap."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from uvicorn.protocols.http.flow_control import FlowControl

from velocity.access.throttle import network

LINGER = 0.5
"""Seconds that a refused connection stays open after its response, unread."""
LINGERING = 256
"""How many connections do so at a time; beyond that, the oldest is closed."""


class Stranger(Protocol):
    """What `Strangers` needs of a connection."""

    address: str
    plain: asyncio.Transport
    flow: FlowControl

    def take(self, data: bytes) -> object: ...


class Strangers:
    """In each step of the event loop, one connection parses one piece of data; addresses take turns.

    Connections that wait are not read meanwhile.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, deque[tuple[Stranger, bytes]]] = {}
        """By address, the next one first."""
        self._taken = False
        """Whether a piece was parsed in this step."""

    def came(self, one: Stranger, data: bytes) -> None:
        """Have the connection parse the data, now or later."""
        if not self._taken:
            self._taken = True
            asyncio.get_running_loop().call_soon(self._step)
            one.take(data)
        else:
            one.plain.pause_reading()
            self._waiting.setdefault(network(one.address), deque()).append((one, data))

    def _step(self) -> None:
        self._taken = bool(self._waiting)
        if not self._taken:
            return
        asyncio.get_running_loop().call_soon(self._step)
        address = next(iter(self._waiting))
        pieces = self._waiting.pop(address)
        one, data = pieces.popleft()
        if pieces:
            self._waiting[address] = pieces  # to the end of the queue
        one.take(data)
        if not one.flow.read_paused:  # it may be paused for another reason, too
            one.plain.resume_reading()


class Lingering:
    """Refused connections. They are not read, which would cost more than the rest of a refusal.

    They stay open for a moment: closing one with bytes unread resets it, and the client could lose the response. RFC
    9112, 9.6
    """

    def __init__(self) -> None:
        self.open: deque[tuple[float, asyncio.Transport]] = deque()
        """The transports, each with the time of its end; the next one first."""
        self._timer: asyncio.TimerHandle | None = None

    def add(self, transport: asyncio.Transport) -> None:
        transport.pause_reading()
        if transport.can_write_eof():
            transport.write_eof()
        loop = asyncio.get_running_loop()
        self.open.append((loop.time() + LINGER, transport))
        if len(self.open) > LINGERING:
            self.open.popleft()[1].abort()
        if self._timer is None:
            self._timer = loop.call_later(LINGER, self._end_due)

    def end(self) -> None:
        while self.open:
            self.open.popleft()[1].abort()

    def _end_due(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self.open and self.open[0][0] <= now:
            self.open.popleft()[1].abort()
        self._timer = loop.call_at(self.open[0][0], self._end_due) if self.open else None
