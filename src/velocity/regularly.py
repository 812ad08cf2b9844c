"""Work that is done again and again while the server runs, whatever comes of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)


async def regularly(what: str, every: float, work: Callable[[], Awaitable[object]]) -> None:
    """Do it each time so many seconds have passed, until this is cancelled."""
    while True:
        await asyncio.sleep(every)
        await tried(what, work)


async def tried(what: str, work: Callable[[], Awaitable[object]]) -> bool:
    """Do it once; whether it came to its end. A fault of ours is told in the log: the next time is another try."""
    try:
        await work()
    except Exception:
        log.exception("%s failed, and is tried again", what)
        return False
    return True
