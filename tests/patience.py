"""How long tests wait for what must happen: a bound that a loaded machine meets, not a guess at how long it takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds within which what must happen has happened."""
BOOT = 300.0
"""Seconds within which a guest has booted, also in software emulation beside much else."""


async def eventually(holds: Callable[[], object], what: str = "it", every: float = 0.005) -> None:
    """Returns when it holds, and fails if that takes too long. Looks every so many seconds."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"{what} does not come to be in {PATIENCE:.0f} s"
        await asyncio.sleep(every)


async def asked_until(
    ask: Callable[[], Awaitable[T]], fits: Callable[[T], object] = bool, what: str = "it", every: float = 0.01
) -> T:
    """`eventually`, for what has to be asked for: the first answer that fits."""
    end = time.monotonic() + PATIENCE
    while not fits(answer := await ask()):
        assert time.monotonic() < end, f"{what} does not come to be in {PATIENCE:.0f} s; the last answer: {answer}"
        await asyncio.sleep(every)
    return answer


def at_last(holds: Callable[[], object], what: str = "it", every: float = 0.01) -> None:
    """`eventually`, for tests without a loop."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"{what} does not come to be in {PATIENCE:.0f} s"
        time.sleep(every)
