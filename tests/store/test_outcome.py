"""Who waits for a commit, and is gone before anything has begun."""

from __future__ import annotations

import asyncio
import inspect

from velocity.outcome import Outcome


def test_work_that_is_cancelled_before_it_begins_is_closed() -> None:
    async def work() -> None:
        raise AssertionError("it does not begin")

    one = work()

    async def end_at_once() -> None:
        waiting = asyncio.create_task(Outcome().await_commit(one))
        await asyncio.sleep(0)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for each in others:  # as when the server ends
            each.cancel()
        await asyncio.wait({waiting})

    asyncio.run(end_at_once())
    assert inspect.getcoroutinestate(one) == inspect.CORO_CLOSED
