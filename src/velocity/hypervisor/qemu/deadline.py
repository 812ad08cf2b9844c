"""Deadlines of the calls of the port."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from velocity.hypervisor.port import Unknown


@contextlib.asynccontextmanager
async def within(deadline: float, words: str) -> AsyncIterator[None]:
    """Raises `Unknown` for what is not done in time."""
    try:
        async with asyncio.timeout(deadline):
            yield
    except TimeoutError:
        raise Unknown(words) from None
