"""The threads of one pool: if one hangs, it delays neither other pools nor the end of the server."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from velocity.storage.port import Unknown

AT_ONCE = 8
GIVE_UP = 5.0
"""Seconds that a cancelled caller, or the ending server, waits for work under way."""

T = TypeVar("T")


class Workers(Executor):
    """Threads that end with their process even if they hang, unlike those of `ThreadPoolExecutor`.

    All are started at once, so that a lack of threads shows at the start.
    """

    def __init__(self, count: int, name: str) -> None:
        """Raises `RuntimeError`."""
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._closed = False
        self._threads: list[threading.Thread] = []
        try:
            for number in range(count):
                thread = threading.Thread(target=self._serve, name=f"{name}-{number}", daemon=True)
                thread.start()
                self._threads.append(thread)
        except BaseException:
            self.shutdown()
            raise

    def submit(self, work: Callable[..., T], /, *arguments: Any, **named: Any) -> Future[T]:
        if self._closed:
            raise RuntimeError("the pool's threads have ended")
        future: Future[T] = Future()

        def do() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    result = work(*arguments, **named)
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)

        self._work.put(do)
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = False) -> None:
        """Queued work is still done."""
        self._closed = True
        for _ in self._threads:
            self._work.put(None)

    def join(self, seconds: float) -> None:
        """Wait for each of them, at most so many seconds in total for those that hang."""
        for thread in self._threads:
            thread.join(seconds)
            if thread.is_alive():
                return

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            del work  # do not keep its objects alive until the next work


class Threads:
    """The threads of the pool with this name. For use in the loop only."""

    def __init__(self, name: str, count: int = AT_ONCE) -> None:
        self._name = name
        self._workers = Workers(count, f"pool-{name}")
        self._overdue: set[asyncio.Future[Any]] = set()

    def check(self) -> None:
        """Raises `Unknown` while work that has missed its deadline has not ended."""
        if self._overdue:
            raise self.unknown()

    async def do(
        self, deadline: float, work: Callable[..., T], *arguments: Any, undo: Callable[[T], object] | None = None
    ) -> T:
        """The result of `work`. Raises `Unknown` at the deadline.

        If the caller stops waiting, `undo` is called in a thread when the work ends after all.
        """
        doing = self._begin(work, arguments)
        try:
            await asyncio.wait({doing}, timeout=deadline)
        except asyncio.CancelledError:
            self._give_up(doing, undo)
            raise
        if not doing.done():
            self._overdue.add(doing)
            self._give_up(doing, undo)
            raise self.unknown()
        return doing.result()

    async def run(self, work: Callable[..., T], *arguments: Any, undo: Callable[[T], object] | None = None) -> T:
        """The result of `work`, however long it takes.

        A cancelled caller waits for its end, for a while; then it is undone when it ends.
        """
        doing = self._begin(work, arguments)
        try:
            return await asyncio.shield(doing)
        except asyncio.CancelledError:
            await self._wait_for(doing)
            if not doing.done():
                self._overdue.add(doing)
            self._give_up(doing, undo)
            raise

    def call(self, deadline: float, work: Callable[..., T], *arguments: Any, undo: Callable[[T], object]) -> T:
        """As `do`, for callers in threads."""
        doing = self._workers.submit(work, *arguments)
        try:
            return doing.result(deadline)
        except TimeoutError:
            if doing.done():
                raise
            doing.add_done_callback(lambda done: done.exception() is None and undo(done.result()))
            raise self.unknown() from None

    def unknown(self) -> Unknown:
        return Unknown(
            f"the disk of pool {self._name!r} does not respond: use another pool until the administrator has "
            "repaired it"
        )

    def _begin(self, work: Callable[..., T], arguments: tuple[Any, ...]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._workers, work, *arguments)

    async def _wait_for(self, doing: asyncio.Future[Any]) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + GIVE_UP
        while not doing.done() and (left := end - loop.time()) > 0:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({doing}, timeout=left)

    def _give_up(self, doing: asyncio.Future[T], undo: Callable[[T], object] | None) -> None:
        def ended(done: asyncio.Future[T]) -> None:
            self._overdue.discard(done)
            if not done.cancelled() and done.exception() is None and undo is not None:
                with contextlib.suppress(RuntimeError):  # the server ends: the next start cleans up
                    self._workers.submit(undo, done.result())

        doing.add_done_callback(ended)

    async def close(self) -> None:
        """Returns when work under way has ended, or has not for a while."""
        self._workers.shutdown()
        await asyncio.to_thread(self._workers.join, GIVE_UP)
