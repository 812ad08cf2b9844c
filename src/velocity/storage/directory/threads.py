"""The threads of one pool: what hangs there holds up no other pool, and nothing of the server."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from velocity.storage.port import Unknown
from velocity.uninterrupted import ended

AT_ONCE = 8

T = TypeVar("T")


class Threads:
    """Of the pool of this name. To be used in the loop alone."""

    def __init__(self, name: str, count: int = AT_ONCE) -> None:
        self._name = name
        self._threads = _started(count, f"pool-{name}")
        self._overdue: set[asyncio.Future[Any]] = set()

    def check(self) -> None:
        """Raises `Unknown` as long as something has not come to its end although its deadline is over."""
        if self._overdue:
            raise self._unknown()

    async def do(
        self, deadline: float, work: Callable[..., T], *arguments: Any, undo: Callable[[T], object] | None = None
    ) -> T:
        """What it gives. Raises `Unknown` when it takes longer; who gives up waiting has what it made undone.

        `undo` is called in a thread, if the work comes to its end after all.
        """
        doing = asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        try:
            await asyncio.wait({doing}, timeout=deadline)
        except asyncio.CancelledError:
            self._give_up(doing, undo)
            raise
        if not doing.done():
            self._overdue.add(doing)
            self._give_up(doing, undo)
            raise self._unknown()
        return doing.result()

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """What it gives, however long that takes. Who is cancelled meanwhile goes when it has ended."""
        return await ended(asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments))

    def _unknown(self) -> Unknown:
        return Unknown(
            f"the disk of pool {self._name!r} does not respond: use another pool until the administrator has "
            "repaired it"
        )

    def _give_up(self, doing: asyncio.Future[T], undo: Callable[[T], object] | None) -> None:
        def ended(done: asyncio.Future[T]) -> None:
            self._overdue.discard(done)
            if not done.cancelled() and done.exception() is None and undo is not None:
                with contextlib.suppress(RuntimeError):  # the server ends: the next start puts it in order
                    self._threads.submit(undo, done.result())

        doing.add_done_callback(ended)

    def close(self) -> None:
        """What is under way ends by itself."""
        self._threads.shutdown(wait=False)


def _started(count: int, name: str) -> ThreadPoolExecutor:
    """All of them: if they cannot be had, no request meets that later. Raises `RuntimeError`."""
    threads = ThreadPoolExecutor(count, name)
    together = threading.Barrier(count + 1)
    try:
        for _ in range(count):
            threads.submit(together.wait)
    except BaseException:
        together.abort()
        threads.shutdown(wait=False)
        raise
    together.wait()
    return threads
