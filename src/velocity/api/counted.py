"""How many requests there were of each operation, how they ended, and how long they took."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

CUT_OFF = "none"
"""The status of a request whose client went away before the answer."""


@dataclass
class Counts:
    """Since the start of the server. `ended` by (operation, status), `seconds` by operation."""

    ended: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def note(self, operation: str, status: str, seconds: float) -> None:
        self.ended[operation, status] += 1
        self.seconds[operation] += seconds


class Counted:
    """An operation whose requests are counted. An ASGI application."""

    def __init__(self, operation: str, served: ASGIApp, counts: Counts) -> None:
        self._operation = operation
        self._served = served
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.perf_counter()
        status = CUT_OFF

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._served(scope, receive, noting)
        finally:
            self._counts.note(self._operation, status, time.perf_counter() - begun)
