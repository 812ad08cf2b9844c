"""Places are given in turn, and nobody has more than their own share of them."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

import pytest

from velocity.fair import FairGate

pytestmark = pytest.mark.anyio


class Inside:
    """Who is in a gate, in the order in which they came in; each stays until they are let out."""

    def __init__(self, gate: FairGate) -> None:
        self.gate = gate
        self.order: list[Hashable] = []
        self.now: list[tuple[Hashable, asyncio.Event]] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def come(self, *whom: Hashable) -> None:
        for who in whom:
            self.tasks.append(asyncio.create_task(self._stay(who)))
            await asyncio.sleep(0)

    async def _stay(self, who: Hashable) -> None:
        async with self.gate.place(who):
            self.order.append(who)
            self.now.append((who, leaves := asyncio.Event()))
            await leaves.wait()

    async def leave(self) -> None:
        """The one who came first."""
        self.now.pop(0)[1].set()
        for _ in range(3):
            await asyncio.sleep(0)


async def test_whoever_asks_for_little_does_not_wait_behind_one_who_asks_for_much() -> None:
    inside = Inside(FairGate(1))
    await inside.come(*["greedy"] * 10, "one", "two")
    for _ in range(12):
        await inside.leave()
    assert inside.order == ["greedy", "greedy", "one", "two", *["greedy"] * 8]


async def test_of_all_places_one_user_has_no_more_than_their_own() -> None:
    inside = Inside(FairGate(4, own=2))
    await inside.come(*["greedy"] * 5)
    assert inside.order == ["greedy"] * 2, "although two are free"
    await inside.come("one", "two", "two", "three")
    assert inside.order[2:] == ["one", "two"]
    await inside.leave()
    assert inside.order[4:] == ["greedy"], "whose turn it is"
    for _ in range(8):
        await inside.leave()
    assert sorted(map(str, inside.order)) == sorted([*["greedy"] * 5, "one", "two", "two", "three"])
    assert inside.gate.waiting == 0


async def test_who_goes_while_waiting_or_just_when_admitted_takes_no_place() -> None:
    gate = FairGate(1)
    inside = Inside(gate)
    await inside.come("one", "two", "three", "four")
    inside.tasks[2].cancel()
    await asyncio.sleep(0)
    assert [gate.count(who) for who in ("one", "two", "three", "four")] == [1, 1, 0, 1]
    await inside.come("five")
    inside.now.pop()[1].set()
    inside.tasks[1].cancel()  # passed over by the one that leaves
    await asyncio.sleep(0)
    inside.tasks[3].cancel()  # admitted, and does not know it yet
    for _ in range(5):
        await asyncio.sleep(0)
    assert inside.order == ["one", "five"]
    await inside.leave()
    async with asyncio.timeout(5), gate.place("six"):
        assert gate.count("six") == 1
    assert gate.waiting == gate.count("six") == 0
