"""Who asks for much at once lets others come between: what one step of the event loop does for a user has an end."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable

SHARE = 0.001
"""Seconds of a step of the loop in which more of a user's requests begin."""


class Turns:
    """A user's requests begin as they come, until they have taken `SHARE` of this step; the others wait for the next.

    Between two steps the loop takes what has come from elsewhere. In each, as many of those that wait begin as fit into
    the share, or one, whatever that takes; those of one user in the order in which they came.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self._ends: dict[Hashable, float] = {}
        """When the share of those who have begun something in this step is used up."""
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}
        self._stepping = False
        self._since = 0.0
        self._begun = 0
        """How many requests have begun since then."""

    async def take(self, who: Hashable) -> None:
        """Returns when the next request of theirs may begin."""
        now = self.clock()
        if not self._stepping:
            self._stepping, self._since, self._begun = True, now, 0
            asyncio.get_running_loop().call_soon(self._step)
        if now < self._ends.setdefault(who, now + SHARE) and who not in self._waiting:
            self._begun += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(who, deque()).append(turn)
        await turn

    def _step(self) -> None:
        """What began in the last step has run by now, and the loop has looked at what has come."""
        now = self.clock()
        each = (now - self._since) / max(self._begun, 1)
        most = max(int(SHARE / each), 1) if each else 1
        self._ends.clear()
        self._since, self._begun = now, 0
        for who, turns in list(self._waiting.items()):
            self._begun += _release(turns, most)
            if not turns:
                del self._waiting[who]
        self._stepping = self._begun > 0
        if self._stepping:
            asyncio.get_running_loop().call_soon(self._step)  # behind those that begin now


def _release(turns: deque[asyncio.Future[None]], most: int) -> int:
    """How many of them begin."""
    begun = 0
    while turns and begun < most:
        turn = turns.popleft()
        if not turn.done():  # who has gone waits no more
            turn.set_result(None)
            begun += 1
    return begun
