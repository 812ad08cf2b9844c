"""What comes into a keeper's inbox, and how it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, TypeVar

from velocity.access.lasting import check_admitted
from velocity.contract.machines import State
from velocity.machines.states import Cause

T = TypeVar("T")


@dataclass(frozen=True)
class StateRequest:
    """A request: the cause it is, where its answer goes, and the context that it was made in."""

    cause: Cause
    answer: asyncio.Future[State]
    context: Context


@dataclass(frozen=True)
class StopRetry:
    """The run has not ended although that was asked for. It is of no request."""

    epoch: int
    context: Context = field(default_factory=Context)


@dataclass(frozen=True)
class ExclusiveWork:
    """Work that nothing else of this VM may come between, where its result goes, and the context that it is of."""

    work: Callable[[], Coroutine[Any, Any, Any]]
    answer: asyncio.Future[Any]
    context: Context


InboxItem = StateRequest | StopRetry | ExclusiveWork


async def run_and_answer(work: Coroutine[Any, Any, T], answer: asyncio.Future[T]) -> None:
    """Do the work, if its sender may still have it done, and answer it. To be awaited in the sender's context."""
    try:
        check_admitted()
        result = await work
    except Exception as error:
        work.close()
        if not answer.done():
            answer.set_exception(error)
            answer.exception()  # whoever asked may be gone: that is no fault
    else:
        if not answer.done():
            answer.set_result(result)


def unawaited() -> asyncio.Future[State]:
    """The answer to an item that nobody waits for."""
    return asyncio.get_running_loop().create_future()


def looked_at(task: asyncio.Task[State]) -> None:
    """Whoever asked may be gone: that is no fault."""
    if not task.cancelled():
        task.exception()
