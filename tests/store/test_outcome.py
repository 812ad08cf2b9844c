"""Who waits for a commit, and what is told of what has not begun."""

from __future__ import annotations

import asyncio
import inspect
import time

import pytest

from velocity.contract.problems import Problem, Refused
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


@pytest.mark.holds("DUR-31")
def test_what_has_not_begun_is_known_not_to_be_made_however_late_the_loop_is() -> None:
    """In one step of the loop the time for it to begin is over, and the one to say that nothing is known."""

    async def ask() -> None:
        outcome = Outcome(patience=0.2)
        outcome.is_lost()
        waiting = asyncio.create_task(outcome.await_commit(outcome.check()))
        await asyncio.sleep(0.01)
        time.sleep(0.3)  # noqa: ASYNC251 - the loop is late
        with pytest.raises(Refused, match="nothing was changed") as refused:
            await waiting
        assert refused.value.problem is Problem.UNAVAILABLE

    asyncio.run(ask())
