"""Work that is completed even if the request for it is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
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


async def in_thread(work: Callable[..., T], *arguments: object, undo: Callable[[T], object] | None = None) -> T:
    """The result of `work`, which is done in a thread.

    If the caller is cancelled, it still waits for the end: the thread uses what is closed, or given to others, next. A
    result that the caller then does not get is passed to `undo`.
    """
    doing = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await ended(doing)
    except asyncio.CancelledError:
        if undo is not None and doing.exception() is None:
            undo(doing.result())
        raise


async def _end_of(doing: asyncio.Future[Any]) -> None:
    while not doing.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({doing})
