"""The items of a keeper's inbox, and how they are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

from msgspec import Struct, field

from velocity.access.lasting import check_admitted
from velocity.contract.machines import State
from velocity.machines.run.states import Cause

T = TypeVar("T")


class StateRequest(Struct, frozen=True):
    """A request for a state, the future for its answer, and the context in which it was made."""

    cause: Cause
    answer: asyncio.Future[State]
    context: Context


class StopRetry(Struct, frozen=True):
    """A stop whose run has not ended yet. It belongs to no request."""

    epoch: int
    context: Context = field(default_factory=Context)


class ExclusiveWork(Struct, frozen=True):
    """Work that excludes all other work on the VM, the future for its result, and its context."""

    work: Callable[[], Coroutine[Any, Any, Any]]
    answer: asyncio.Future[Any]
    context: Context


InboxItem = StateRequest | StopRetry | ExclusiveWork


async def run_and_answer(work: Coroutine[Any, Any, T], answer: asyncio.Future[T]) -> None:
    """Do the work if its sender still has the permission, and set the answer. Runs in the sender's context."""
    try:
        check_admitted()
        result = await work
    except Exception as error:
        work.close()
        if not answer.done():
            answer.set_exception(error)
            answer.exception()  # marks it as retrieved: the sender may be gone
    else:
        if not answer.done():
            answer.set_result(result)


def unawaited() -> asyncio.Future[State]:
    """An answer that nobody waits for."""
    return asyncio.get_running_loop().create_future()


def looked_at(task: asyncio.Task[State]) -> None:
    """Mark a task's exception as retrieved: the sender may be gone."""
    if not task.cancelled():
        task.exception()
