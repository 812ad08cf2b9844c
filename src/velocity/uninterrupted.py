"""Work that is completed even if the request for it is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def whole(work: Coroutine[Any, Any, T]) -> T:
    """Complete `work` even if the caller is cancelled: half a commit with its files would be worse than a late end."""
    doing = asyncio.ensure_future(work)
    await _end_of(doing)
    return doing.result()


async def ended(doing: asyncio.Future[T]) -> T:
    """The result of `doing`. If the caller is cancelled, it still waits for the end."""
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        await _end_of(doing)
        if not doing.cancelled():
            doing.exception()  # marks it as retrieved: the caller is gone
        raise


async def _end_of(doing: asyncio.Future[Any]) -> None:
    while not doing.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({doing})
