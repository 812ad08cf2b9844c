"""Deadlines of the port's calls."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from velocity.hypervisor.port import Unknown


@contextlib.asynccontextmanager
async def within(deadline: float, words: str) -> AsyncIterator[None]:
    """What is not done in that time is unknown."""
    try:
        async with asyncio.timeout(deadline):
            yield
    except TimeoutError:
        raise Unknown(words) from None
