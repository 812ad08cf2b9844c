"""Waiting for a host that does not respond: tasks do that, requests do not.

A task was accepted, so the restart of a node must not end it, whichever of its calls that meets. A request is refused
by its deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from velocity.contract.problems import Problem, Refused
from velocity.storage.port import Pools, Unknown
from velocity.storage.ways import Ways

PATIENCE = 300.0
"""Seconds to wait for a host that does not respond; a restart takes less."""
AGAIN = 0.5
"""Seconds between two attempts."""
SECONDS = 30.0
"""The deadline for calls without one."""
T = TypeVar("T")
Say = Callable[[str], None]
"""Called with what is being waited for; empty: nothing any more."""

_SAY: ContextVar[Say | None] = ContextVar("say", default=None)


@contextmanager
def waiting(say: Say | None) -> Iterator[None]:
    """Within, for a task: calls wait for hosts, and `say` is called meanwhile. None: they do not, as in a request."""
    token = _SAY.set(say)
    try:
        yield
    finally:
        _SAY.reset(token)


def waits() -> bool:
    """Whether the caller is a task, which waits."""
    return _SAY.get() is not None


async def reach(
    attempt: Callable[[], Awaitable[T]],
    host: str | Callable[[], str],
    seconds: float = PATIENCE,
    again: float = AGAIN,
    unknown: type[Exception] = Unknown,
) -> T:
    """Repeat the attempt while it raises `unknown`, for so many `seconds`; then raises it.

    `host`: its name, or what finds it if several take part.
    The wait can be cancelled, also during an attempt that is completed all the same (`uninterrupted.whole`).
    """
    loop, say = asyncio.get_running_loop(), _SAY.get() or _say_nothing
    end = loop.time() + seconds
    try:
        while True:
            try:
                return await attempt()
            except unknown:
                if loop.time() >= end:
                    raise
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise asyncio.CancelledError
            say(f"waiting for {host if isinstance(host, str) else host()}")
            await asyncio.sleep(again)
    finally:
        say("")


def _say_nothing(words: str) -> None:
    pass


class Patience:
    """Waits for the pools of other hosts. A shared pool is served by another host instead."""

    def __init__(self, ways: Ways, pools: Pools, seconds: float = PATIENCE, again: float = AGAIN) -> None:
        self._ways = ways
        self._pools = pools
        self._seconds = seconds
        self._again = again

    async def reach(self, pool: int, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeat the attempt while the pool's host does not respond. Raises `Unknown`."""
        return await reach(attempt, self._ways.called_if_other(pool), self._seconds, self._again)

    async def ask(self, pool: int, attempt: Callable[[], Awaitable[T]]) -> T:
        """Make the attempt. In a task, repeat it while the pool's host does not respond, or does not have it mounted
        yet. So it must be possible to repeat it whenever its result is not known.
        """

        async def again() -> T:
            await self.check_there(pool)
            return await attempt()

        try:
            return await attempt()
        except Refused as refused:
            if refused.problem is not Problem.POOL_AWAY or not waits() or not self.waits_for(pool):
                raise
        return await self.reach(pool, again)

    def waits_for(self, pool: int) -> bool:
        """Whether it is a pool of a single host, and that is another one."""
        return bool(self._ways.called_if_other(pool)) and not self._ways.is_shared(pool)

    async def check_there(self, pool: int) -> None:
        """Raises `Unknown` unless the pool's host responds and has the pool."""
        state = await self._pools.state(pool, deadline=SECONDS)
        if state is not None and state.state == "away":
            raise Unknown(state.message)
