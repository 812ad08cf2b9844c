"""Who waits has their turn by their place, and not by when they came."""

from __future__ import annotations

import asyncio

import pytest

from velocity.machines.hosts.in_order import InOrder

pytestmark = pytest.mark.anyio


async def passed() -> None:
    """Everybody has gone as far as they get: a turn is given within a few steps of the loop."""
    for _ in range(20):
        await asyncio.sleep(0)


class Waiting:
    """Those who have come; each has its turn until it is let go."""

    def __init__(self, most: int) -> None:
        self.turns = InOrder(most)
        self.had: list[int] = []
        self.go: dict[int, asyncio.Event] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}

    async def come(self, *places: int) -> None:
        for place in places:
            self.go[place] = asyncio.Event()
            self.tasks[place] = asyncio.create_task(self._have(place))
        await passed()

    async def _have(self, place: int) -> None:
        async with self.turns.turn(place):
            self.had.append(place)
            await self.go[place].wait()

    async def let_go(self, place: int) -> None:
        self.go[place].set()
        await self.tasks[place]
        await passed()


@pytest.mark.holds("MANY-239")
async def test_the_lowest_place_is_next_whoever_came_first() -> None:
    waiting = Waiting(2)
    await waiting.come(5, 4, 3)
    assert waiting.had == [3, 4]
    await waiting.come(1)
    await waiting.let_go(4)
    assert waiting.had == [3, 4, 1]
    for place in (3, 1, 5):
        await waiting.let_go(place)
    assert waiting.had == [3, 4, 1, 5]


async def test_who_gives_up_takes_no_turn_and_keeps_none() -> None:
    waiting = Waiting(1)
    await waiting.come(1, 2, 3)
    for place in (2, 1):
        waiting.tasks[place].cancel()
    await passed()
    assert waiting.had == [1, 3]
    await waiting.let_go(3)
    await waiting.come(4)
    await waiting.let_go(4)
    assert waiting.had == [1, 3, 4]
