"""Work that is completed even if the request for it is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def whole(work: Coroutine[Any, Any, T]) -> T:
    """Bring it to its end, whoever cancels meanwhile: half of a commit and its files is worse than a late end."""
    doing = asyncio.ensure_future(work)
    await _end_of(doing)
    return doing.result()


async def ended(doing: asyncio.Future[T]) -> T:
    """What it gives. Who is cancelled meanwhile goes when it has ended."""
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        await _end_of(doing)
        raise


async def _end_of(doing: asyncio.Future[Any]) -> None:
    while not doing.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({doing})
