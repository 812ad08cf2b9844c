"""How long tests wait for what must happen: a bound that a loaded machine meets, not a guess at how long it takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PATIENCE = 60.0
"""Seconds within which what must happen has happened."""


async def eventually(holds: Callable[[], bool], what: str = "it") -> None:
    """Returns when it holds, and fails if that takes too long."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"{what} does not come to be in {PATIENCE:.0f} s"
        await asyncio.sleep(0.005)


def at_last(holds: Callable[[], bool], what: str = "it") -> None:
    """`eventually`, for tests without a loop."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"{what} does not come to be in {PATIENCE:.0f} s"
        time.sleep(0.01)
