"""Copies a medium from one host's storage to another's, through the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from velocity.storage.patience import SECONDS
from velocity.storage.port import Belongs, Blobs, Clone, JobProgress, Made, Outgoing, Trash

PIECE = 512 << 10
"""Bytes in memory at a time."""


class Transfer:
    """One copy of the bytes as they are. If it fails, nothing of it is left."""

    def __init__(self, job: Clone, source: Outgoing, to: Blobs, trash: Trash) -> None:
        """`trash` is told to remove a failed copy, even if the target's host does not respond."""
        self._trash = trash
        self._job = job
        self._source = source
        self._to = to
        self._done = 0
        self._changed = asyncio.Event()
        self._task: asyncio.Task[Made] | None = None
        self._told = False

    def start(self) -> None:
        self._task = asyncio.create_task(self._copy())
        self._task.add_done_callback(lambda _: self._changed.set())

    async def _copy(self) -> Made:
        target = await self._to.put(self._job.target, deadline=SECONDS)
        try:
            while piece := await self._source.read(self._done, PIECE):
                await target.write(piece)
                self._done += len(piece)
                self._changed.set()
            content = await target.finish()
        finally:
            await target.close()
        return Made(self._done, content)

    async def watch(self) -> AsyncIterator[JobProgress | Made]:
        assert self._task is not None, "it was started"
        while not self._task.done():
            await self._changed.wait()
            self._changed.clear()
            yield JobProgress(self._done, self._source.stat.size)
        made = self._task.result()
        self._told = True
        yield made

    async def cancel(self) -> None:
        if self._task is not None and not self._told:
            self._task.cancel()
            await asyncio.wait({self._task})
            if not self._task.cancelled() and self._task.exception() is None:
                await self._trash.settle(self._job.target, Belongs.NOWHERE, deadline=SECONDS)
        await self._source.close()
