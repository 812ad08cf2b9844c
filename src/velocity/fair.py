"""A limited number of places, given in turns, so that users with many requests do not delay those with few."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class FairGate:
    """`number` places, of which one user has `own` at most. Waiting users are admitted in turns, one request each."""

    def __init__(self, number: int, own: int | None = None) -> None:
        self._free = number
        self._own = own or number
        self._inside: Counter[Hashable] = Counter()
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}
        """By user, the next one first; each with their requests in order."""

    def count(self, who: Hashable) -> int:
        """How many of their requests are inside or waiting."""
        return self._inside[who] + len(self._waiting.get(who, ()))

    @property
    def waiting(self) -> int:
        """How many requests are waiting."""
        return sum(map(len, self._waiting.values()))

    @asynccontextmanager
    async def place(self, who: Hashable) -> AsyncIterator[None]:
        """Within, the request has a place."""
        if self._free and self._inside[who] < self._own and who not in self._waiting:
            self._enter(who)
        else:
            await self._wait(who)
        try:
            yield
        finally:
            self._leave(who)

    async def _wait(self, who: Hashable) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(who, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._withdraw(who, turn)
            else:
                self._leave(who)  # it was admitted in that very moment
            raise

    def _withdraw(self, who: Hashable, turn: asyncio.Future[None]) -> None:
        turns = self._waiting.get(who, deque())
        if turn in turns:  # `_leave` has not removed it yet
            turns.remove(turn)
            if not turns:
                del self._waiting[who]

    def _enter(self, who: Hashable) -> None:
        self._free -= 1
        self._inside[who] += 1

    def _leave(self, who: Hashable) -> None:
        self._free += 1
        self._inside[who] -= 1
        if not self._inside[who]:
            del self._inside[who]
        while self._free and (following := self._next()) is not None:
            turns = self._waiting.pop(following)
            turn = turns.popleft()
            if turns:
                self._waiting[following] = turns  # to the end of the queue
            if not turn.done():
                self._enter(following)
                turn.set_result(None)

    def _next(self) -> Hashable | None:
        return next((one for one in self._waiting if self._inside[one] < self._own), None)
