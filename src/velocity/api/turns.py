"""Turns in the event loop: a user who sends many requests lets others' come between."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable
from functools import partial

SHARE, ALONE = 0.001, 0.005
"""Seconds of a step of the loop in which more of a user's requests begin: among others, and where nobody else asks."""
RECENT = 1.0
"""Seconds for which others are expected to ask again."""
LATELY = 0.75
"""How much of what was measured in the steps before still counts in the next one."""


class Turns:
    """A user's requests begin as they come, until they have taken their share of this step; the rest wait for the next.

    Between two steps the loop takes what has come from elsewhere. In each, as many of those that wait begin as fit into
    the share, by what requests have taken lately, or one, whatever that takes; those of one user in the order in which
    they came. Longer steps do more in the same time: so they are, while there is nobody else.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self._begun: dict[Hashable, tuple[int, float]] = {}
        """How many of a user's have begun in this step, and when the share of that user is used up."""
        self._waiting: dict[Hashable, deque[Callable[[], bool]]] = {}
        self._stepping = False
        self._since = 0.0
        self._number = 0
        """How many have begun in this step, of all users."""
        self._share = SHARE
        self._most: float = float("inf")
        """How many of a user's begin in a step."""
        self._last: Hashable = None
        self._others = 0.0
        """Who asked last, and when it was somebody else last."""
        self._seconds = self._requests = 0.0
        """What the last steps took, and how many began in them."""

    def begins(self, who: Hashable) -> bool:
        """Whether one more of theirs may begin now. It is counted then; else it is to `wait`."""
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
        """Whether more than one has asked lately."""
        return self.clock() - self._others < RECENT

    def wait(self, who: Hashable, begin: Callable[[], bool]) -> None:
        """Call `begin` in their turn; False: nobody waits there any more."""
        self._waiting.setdefault(who, deque()).append(begin)

    async def take(self, who: Hashable) -> None:
        """Returns when the next request of theirs may begin."""
        if not self.begins(who):
            await self.wait_for(who)

    async def wait_for(self, who: Hashable) -> None:
        """Returns when their turn has come: one more of theirs could not begin."""
        turn = asyncio.get_running_loop().create_future()
        self.wait(who, partial(_release, turn))
        await turn

    def _step(self) -> None:
        """What began in the last step has run by now, and the loop has looked at what has come."""
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
        finally:  # whatever one of them fails with, the others go on
            self._stepping = goes_on
            if goes_on:
                asyncio.get_running_loop().call_soon(self._step)  # behind those that begin now

    def _release_some(self, waiting: deque[Callable[[], bool]], end: float) -> int:
        """How many of them begin."""
        begun = 0
        while waiting and begun < self._most and (not begun or self.clock() < end):
            begun += waiting.popleft()()
        return begun


def _release(turn: asyncio.Future[None]) -> bool:
    if turn.done():  # who has gone waits no more
        return False
    turn.set_result(None)
    return True
