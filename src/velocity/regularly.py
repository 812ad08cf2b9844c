"""Work that is repeated while the server runs, even after failures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)


async def regularly(what: str, every: float, work: Callable[[], Awaitable[object]]) -> None:
    """Do the work every `every` seconds, until cancelled."""
    while True:
        await asyncio.sleep(every)
        await tried(what, work)


async def tried(what: str, work: Callable[[], Awaitable[object]]) -> bool:
    """Do the work once; returns whether it succeeded. Exceptions are logged."""
    try:
        await work()
    except Exception:
        log.exception("%s failed, and is tried again", what)
        return False
    return True
