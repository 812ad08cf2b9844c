"""Many readers are woken together, and the more seldom the more there are."""

from __future__ import annotations

import asyncio

import pytest

from velocity.events.wakeups import EACH, Wakeups

pytestmark = pytest.mark.anyio


async def woken(wakeups: Wakeups, readers: int) -> None:
    """So many wait, and are woken."""
    until = asyncio.get_running_loop().time() + 60
    waiting = [asyncio.ensure_future(wakeups.wait(until)) for _ in range(readers)]
    await asyncio.sleep(0)
    wakeups.now()
    assert all(await asyncio.gather(*waiting))


@pytest.mark.holds("EVENT-9")
async def test_telling_many_takes_a_part_of_the_time_and_not_all() -> None:
    wakeups = Wakeups(0.02)
    assert wakeups.between == 0.02, "whoever is the first is told at once"
    await woken(wakeups, 1)
    assert wakeups.between == pytest.approx(0.02 + EACH)
    await woken(wakeups, 1000)
    assert 0.1 < wakeups.between < 0.5
    await woken(wakeups, 1)
    assert wakeups.between == pytest.approx(0.02 + EACH), "they have left"
