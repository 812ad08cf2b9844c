"""The open file of an image, which programs read or write, and the threads of its pool."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from velocity.storage.directory.shared_descriptor import SharedDescriptor
from velocity.storage.directory.threads import Threads
from velocity.storage.port import Stat

FLUSHED = 0.05
"""Seconds between flushes. A single flush at the end takes up to as long as the writing itself."""

T = TypeVar("T")


class ImageFile:
    """An image's open file, with the threads of its pool. `shared`: other hosts may be reading it."""

    def __init__(self, file: SharedDescriptor, threads: Threads, *, shared: bool = False) -> None:
        self.file = file
        self.shared = shared
        self._threads = threads

    async def do(self, work: Callable[..., T], *arguments: Any) -> T:
        """Call `work` with the descriptor in a thread. A cancelled caller waits for its end, unless it hangs."""

        def work_on() -> T:
            with self.file.use() as descriptor:
                return work(descriptor, *arguments)

        return await self._threads.run(work_on)

    async def stat(self) -> Stat:
        return await self._threads.run(self.file.stat)

    async def truncate(self, size: int) -> None:
        await self._threads.run(self.file.truncate, size)

    @contextlib.asynccontextmanager
    async def flushed(self) -> AsyncIterator[None]:
        """Inside this context, what programs write to the file is flushed every `FLUSHED` seconds.

        Raises `OSError` on leaving if a flush failed: the kernel reports an error only once, so a later flush would
        succeed. fsync(2)
        """
        over = asyncio.Event()
        flushing = asyncio.create_task(self._flush_until(over))
        try:
            yield
            over.set()
            await flushing
        finally:
            flushing.cancel()
            await asyncio.wait({flushing})

    async def _flush_until(self, over: asyncio.Event) -> None:
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), FLUSHED)
            await self.do(os.fdatasync)
