"""The threads of one pool: one that hangs delays no other pool, nor the end of the server."""

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
"""Seconds for which who is cancelled, or the server at its end, waits for what is under way."""

T = TypeVar("T")


class Workers(Executor):
    """Threads that end with their process, whatever hangs in them: it waits for those of a `ThreadPoolExecutor`.

    All of them are there from the beginning: if they cannot be had, no request meets that later.
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
        """What was asked for is done yet."""
        self._closed = True
        for _ in self._threads:
            self._work.put(None)

    def join(self, seconds: float) -> None:
        """Wait so long, at most, for each of them."""
        for thread in self._threads:
            thread.join(seconds)
            if thread.is_alive():
                return

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            del work  # what it holds is not kept until the next one


class Threads:
    """Of the pool of this name. To be used in the loop alone."""

    def __init__(self, name: str, count: int = AT_ONCE) -> None:
        self._name = name
        self._workers = Workers(count, f"pool-{name}")
        self._overdue: set[asyncio.Future[Any]] = set()

    def check(self) -> None:
        """Raises `Unknown` as long as something has not come to its end although its deadline is over."""
        if self._overdue:
            raise self.unknown()

    async def do(
        self, deadline: float, work: Callable[..., T], *arguments: Any, undo: Callable[[T], object] | None = None
    ) -> T:
        """What it gives. Raises `Unknown` when it takes longer; who gives up waiting has what it made undone.

        `undo` is called in a thread, if the work comes to its end after all.
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
        """What it gives, however long that takes.

        Who is cancelled meanwhile goes when it has ended, or, if it hangs, after a while; it is undone then.
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
        """The same as `do`, for callers that are in a thread themselves."""
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
                with contextlib.suppress(RuntimeError):  # the server ends: the next start puts it in order
                    self._workers.submit(undo, done.result())

        doing.add_done_callback(ended)

    async def close(self) -> None:
        """Returns when what is under way has ended, or does not for a while."""
        self._workers.shutdown()
        await asyncio.to_thread(self._workers.join, GIVE_UP)
