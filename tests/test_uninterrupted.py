"""Work that a cancellation does not interrupt."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from velocity.uninterrupted import ended

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("fails", [False, True])
async def test_whoever_is_cancelled_waits_for_the_end_and_leaves_no_error_that_nobody_takes(fails: bool) -> None:
    """asyncio would log it, with its traceback."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    go_on = asyncio.Event()

    async def work() -> str:
        await go_on.wait()
        if fails:
            raise ValueError("it fails")
        return "done"

    doing = asyncio.ensure_future(work())
    waiting = asyncio.ensure_future(ended(doing))
    await asyncio.sleep(0)
    for _ in range(2):
        waiting.cancel()
        await asyncio.sleep(0)
        assert not waiting.done()
    go_on.set()
    await asyncio.wait({waiting})
    assert waiting.cancelled()
    assert doing.done()
    del doing, waiting
    gc.collect()
    await asyncio.sleep(0)
    assert told == []
