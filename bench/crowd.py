"""Many connections of one client, who means harm or does not care: how many there were, how they were answered.

`Crowd` is the bench's side; `python -m bench.crowd KIND FIELDS` is the process. It stands for a machine elsewhere, so
it computes on one core only, the last, and there only while nobody else of the bench does (SCHED_IDLE): what is
measured is the server, and not who waits for a core behind the crowd. A nice one may keep it for a tick: 4 ms.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple, cast

import uvloop

from bench.actors import Actor

PIECE = 1 << 16
NUMBER, CODED = b"@", b"*"
"""In a request: another number in each, and the same in base64."""
REFUSALS = 100
"""Refusals whose words are kept."""
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


class Tally(NamedTuple):
    """What became of it. `statuses` has 0 for connections that ended without an answer."""

    opened: int
    statuses: dict[int, int]
    refusals: list[str]

    @property
    def answers(self) -> int:
        return sum(self.statuses.values())


class Crowd(Actor):
    """Goes on as long as the `with` block lasts; then `tally` has what became of it."""

    module = "bench.crowd"
    tally: Tally

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        super().__exit__(kind, error, at)
        opened, statuses, refusals = self.found
        self.tally = Tally(opened, {int(status): count for status, count in statuses.items()}, refusals)


class Connections:
    """So many at a time: one that has ended is opened anew."""

    def __init__(self, port: int, make: Callable[[Connections], Connection]) -> None:
        self._port = port
        self._make = make
        self._loop = asyncio.get_running_loop()
        self.goes_on = True
        self.opened = 0
        self.number = time.time_ns()
        self.statuses: Counter[int] = Counter()
        self.refusals: list[str] = []

    async def open(self) -> None:
        while self.goes_on:
            try:
                await self._loop.create_connection(lambda: self._make(self), "127.0.0.1", self._port)
                self.opened += 1
                return
            except OSError:
                await asyncio.sleep(0.05)

    def answered(self, status: int, body: bytes = b"") -> None:
        self.statuses[status] += 1
        if status >= 400 and body and len(self.refusals) < REFUSALS:
            self.refusals.append(json.loads(body)["message"])

    def ended(self) -> None:
        if self.goes_on:
            self._loop.create_task(self.open())


class Connection(asyncio.Protocol):
    """One of them."""

    transport: asyncio.Transport

    def __init__(self, among: Connections) -> None:
        self.among = among
        self.came = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self.begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self.among.ended()

    def begin(self) -> None:
        raise NotImplementedError


class Hostile(Connection):
    """Sends what begins a request, and never its end: pieces as fast as they are taken, or one in `pace` seconds."""

    def __init__(self, among: Connections, begun: str, piece: str = "", pace: float = 0) -> None:
        super().__init__(among)
        self._begun, self._piece, self._pace = begun.encode(), piece.encode(), pace
        if not pace:
            self._piece *= PIECE // max(len(piece), 1)
        self._paused = False

    def begin(self) -> None:
        self.transport.write(self._begun)
        self._more()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._more()

    def _more(self) -> None:
        if not self._piece or self._paused or self.transport.is_closing():
            return
        self.transport.write(self._piece)
        loop = asyncio.get_running_loop()
        loop.call_later(self._pace, self._more) if self._pace else loop.call_soon(self._more)

    def data_received(self, data: bytes) -> None:
        self.came += data

    def eof_received(self) -> None:
        """It has its answer, and comes again at once."""
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        words = self.came.split(maxsplit=2)
        self.among.answered(int(words[1]) if len(words) > 1 else 0)
        super().connection_lost(exc)


class Requesting(Connection):
    """Asks the same again and again, each time as soon as it has its answer; a stream is left with its first event."""

    def __init__(self, among: Connections, method: str, path: str, headers: dict[str, str], body: str = "") -> None:
        super().__init__(among)
        self._body = body.encode()
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._head = f"{method} {path} HTTP/1.1\r\nhost: crowd\r\n{lines}".encode()

    def begin(self) -> None:
        self.among.number += 1
        number = b"%d" % self.among.number
        head = self._head.replace(NUMBER, number).replace(CODED, b64encode(number))
        body = self._body.replace(NUMBER, number)
        self.transport.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)

    def data_received(self, data: bytes) -> None:
        self.came = self.came + data if self.came else data
        end = self.came.find(b"\r\n\r\n") + 4
        if end < 4:
            return
        status = int(self.came[9:12])
        if found := _LENGTH.search(self.came, 0, end):
            if len(self.came) < end + int(found[1]):
                return
            self.among.answered(status, self.came[end:] if status >= 400 else b"")
            self.came = b""
            if not self.transport.is_closing():
                self.begin()
        elif b"\nid: " in data:
            self.among.answered(status)
            self.came = b""
            self.transport.close()


KINDS = {"hostile": Hostile, "requests": Requesting}


async def crowd(kind: str, port: int, connections: int, **fields: object) -> None:
    make: Callable[..., Connection] = KINDS[kind]
    among = Connections(port, lambda among: make(among, **fields))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for _ in range(connections):
        await among.open()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    among.goes_on = False
    json.dump([among.opened, among.statuses, among.refusals], sys.stdout)


def main() -> None:
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    kind, fields = sys.argv[1:]
    uvloop.run(crowd(kind, **json.loads(fields)))


if __name__ == "__main__":
    main()
