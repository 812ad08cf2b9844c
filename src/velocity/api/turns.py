"""Fair turns in the event loop: a user who sends many requests does not delay others."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable
from functools import partial

SHARE, ALONE = 0.001, 0.005
"""Seconds of a step in which one user's requests may begin: with other users about, and alone."""
RECENT = 1.0
"""Seconds for which another user is expected to ask again."""
LATELY = 0.75
"""How much of earlier measurements still counts in the next step."""


class Turns:
    """A user's requests begin as they arrive, up to the user's share of the loop's step; the rest wait for others.

    Between two steps the loop receives what has arrived. In each step, waiting requests of a user begin in their order,
    as many as fit into the share, judging by recent ones, and at least one. Longer steps are more efficient, so the
    share is larger while there is only one user.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self._begun: dict[Hashable, tuple[int, float]] = {}
        """By user: how many have begun in this step, and when the share is used up."""
        self._waiting: dict[Hashable, deque[Callable[[], bool]]] = {}
        self._stepping = False
        self._since = 0.0
        self._number = 0
        """How many have begun in this step, of all users."""
        self._share = SHARE
        self._most: float = float("inf")
        """How many of one user may begin in a step."""
        self._last: Hashable = None
        self._others = 0.0
        """Since when all requests have come from `_last`."""
        self._seconds = self._requests = 0.0
        """What recent steps took, and how many requests began in them; older ones count less."""

    def begins(self, who: Hashable) -> bool:
        """Whether one more request of theirs may begin now, which counts it; otherwise it has to `wait`."""
        now = self.clock()
        if who != self._last:
            self._last, self._others, self._share = who, now, SHARE
        if not self._stepping:
            self._stepping, self._since = True, now
            asyncio.get_running_loop().call_soon(self._step)
        begun, end = self._begun.get(who, (0, now + self._share))
        if who in self._waiting or begun >= self._most or now >= end:
            return False
        self._begun[who] = begun + 1, end
        self._number += 1
        return True

    def have_others(self) -> bool:
        """Whether several users have asked recently."""
        return self.clock() - self._others < RECENT

    def wait(self, who: Hashable, begin: Callable[[], bool]) -> None:
        """Call `begin` when it is their turn. It returns False if it does not use the turn."""
        self._waiting.setdefault(who, deque()).append(begin)

    async def take(self, who: Hashable) -> None:
        """Returns when the next request of theirs may begin."""
        if not self.begins(who):
            await self.wait_for(who)

    async def wait_for(self, who: Hashable) -> None:
        """Returns when it is their turn, after `begins` was False."""
        turn = asyncio.get_running_loop().create_future()
        self.wait(who, partial(_release, turn))
        await turn

    def _step(self) -> None:
        """Runs after everything that began in the last step, and after the loop has received what has arrived."""
        now = self.clock()
        self._seconds = LATELY * self._seconds + now - self._since
        self._requests = LATELY * self._requests + self._number
        goes_on = self._number > 0 or bool(self._waiting)
        self._share = SHARE if self.have_others() else ALONE
        if self._requests and self._seconds:
            self._most = max(self._share * self._requests // self._seconds, 1)
        self._begun.clear()
        self._since, self._number = now, 0
        try:
            for who, waiting in list(self._waiting.items()):
                begun = self._release_some(waiting, now + self._share)
                if not waiting:
                    del self._waiting[who]
                self._begun[who] = begun, now + self._share
                self._number += begun
        finally:  # even if one of them fails, the others continue
            self._stepping = goes_on
            if goes_on:
                asyncio.get_running_loop().call_soon(self._step)  # behind those that begin now

    def _release_some(self, waiting: deque[Callable[[], bool]], end: float) -> int:
        """Begins some of them; returns how many."""
        begun = 0
        while waiting and begun < self._most and (not begun or self.clock() < end):
            begun += waiting.popleft()()
        return begun


def _release(turn: asyncio.Future[None]) -> bool:
    if turn.done():  # the request was cancelled meanwhile
        return False
    turn.set_result(None)
    return True
