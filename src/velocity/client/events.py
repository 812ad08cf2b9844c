"""The event stream: parsing, and reconnecting.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx
import msgspec

from velocity.client.errors import ApiError, ClientError, Unreachable, no_answer
from velocity.contract.events import EVENTS, Alive, Bye, Event

SILENCE = 45.0
"""Seconds without data (the server sends some every 15) after which a connection counts as broken."""
TIMEOUT = httpx.Timeout(120.0, connect=5.0, read=SILENCE)
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0
"""Seconds before the first new attempt to connect, and at most before each further one."""
COMING_BACK = frozenset({502, 503, 504})
"""Statuses of a server that is being restarted, or of the proxy in front of it."""


class Decoder:
    """Decodes events. `last` is the id of the last one returned."""

    def __init__(self, last: str = "") -> None:
        self.last = last
        self._pieces: list[bytes] = []
        self._fields: dict[bytes, bytes] = {}

    def feed(self, piece: bytes) -> Iterator[Event | Alive | Bye]:
        """The events that are complete now. Unknown kinds, from later versions of the server, are skipped."""
        self._pieces.append(piece)
        if b"\n" not in piece:
            return
        *lines, rest = b"".join(self._pieces).split(b"\n")
        self._pieces = [rest]
        for line in lines:
            name, _, value = line.removesuffix(b"\r").partition(b":")
            if name:
                self._fields[name] = value.removeprefix(b" ")
            elif not line.strip():
                yield from self._whole()

    def _whole(self) -> Iterator[Event | Alive | Bye]:
        fields, self._fields = self._fields, {}
        self.last = fields.get(b"id", self.last.encode()).decode()
        kind = EVENTS.get(fields.get(b"event", b"").decode())
        if kind is not None and b"data" in fields:
            yield msgspec.json.decode(fields[b"data"], type=kind)


class Following:
    """One stream over any number of connections. `patience`: seconds for which the server may not respond."""

    def __init__(self, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience
        self._clock = clock
        self._decoder = Decoder()
        self._heard: float | None = None
        self._pause = FIRST_PAUSE

    def headers(self, authkey: str | None) -> dict[str, str]:
        """The headers of the next request, which continues after the last event."""
        headers = {"accept": "text/event-stream"}
        if authkey is not None:
            headers["authorization"] = f"Bearer {authkey}"
        if self._decoder.last:
            headers["last-event-id"] = self._decoder.last
        self._decoder = Decoder(self._decoder.last)
        return headers

    def feed(self, piece: bytes) -> Iterator[Event]:
        self._heard = self._clock()
        self._pause = FIRST_PAUSE
        return (event for event in self._decoder.feed(piece) if not isinstance(event, Alive | Bye))

    def broke(self, error: ClientError | None) -> float:
        """Seconds to wait before reconnecting, after an error or (None) an orderly end.

        Raises the error if there was no connection before, the server has not responded for too long, or it refuses.
        """
        gone = isinstance(error, Unreachable) or (isinstance(error, ApiError) and error.status in COMING_BACK)
        if error is not None and (not gone or self._heard is None or self._clock() - self._heard > self._patience):
            raise error
        pause, self._pause = self._pause, min(LONGEST_PAUSE, self._pause * 2)
        return pause


def broken(server: str, error: Exception) -> ClientError:
    told = f"the event stream of {server} was interrupted: {error or type(error).__name__}"
    return no_answer(server, error, told)
