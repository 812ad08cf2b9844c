"""A file of a pool that programs read and write images in, and that threads of the pool work on."""

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
"""Seconds between two flushes of what is being written. All at the end took up to twice as long as its own writing."""

T = TypeVar("T")


class ImageFile:
    """An open file of an image, and the threads of the pool that it lies in. `shared`: other hosts may read it, too."""

    def __init__(self, file: SharedDescriptor, threads: Threads, *, shared: bool = False) -> None:
        self.file = file
        self.shared = shared
        self._threads = threads

    async def do(self, work: Callable[..., T], *arguments: Any) -> T:
        """Work on its descriptor, which comes first. Who is cancelled meanwhile goes when it has ended, or hangs."""

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
        """Within, what is written to it goes to the disk as it comes, so that little is left to wait for at the end.

        Raises the disk's error, if there was one, at the end: the kernel tells it once, so a later flush would not.
        fsync(2)
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
