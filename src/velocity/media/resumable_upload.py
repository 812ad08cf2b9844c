"""One upload over several requests. See `velocity.media.resumable.Resumables`."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import Any

from velocity.access.lasting import Check, RightWatch
from velocity.contract.media import ResumableUpload
from velocity.contract.problems import Problem, Refused
from velocity.media.port import UploadStore
from velocity.media.rules import LIVE, Medium, StoredUpload
from velocity.media.upload import Upload
from velocity.uninterrupted import whole

log = logging.getLogger(__name__)

NOTE = 64 << 20
"""Bytes after which received data is made durable and recorded: a crash loses no more."""

Reopen = Callable[[], Coroutine[Any, Any, Upload]]


class Resumable:
    """One upload: its data is on disk, its name and bytes are reserved.

    `upload` is None after a restart of the server, until it continues (`reopen`). Implements
    `velocity.media.under_way.UnderWay`.
    """

    def __init__(
        self, stored: StoredUpload, upload: Upload | None, held: AsyncExitStack, reopen: Reopen, store: UploadStore
    ) -> None:
        self.name, self.mid, self.uid = stored.name, stored.mid, stored.uid
        self.request, self.begun = stored.request, stored.begun
        self.stored = stored
        self.timer: asyncio.TimerHandle | None = None
        self.watch: RightWatch | None = None
        self.heard = self.touched = float(stored.heard)
        """When the last bytes arrived, and when it was last requested."""
        self.expires: int | None = None
        self.why_ended: str | None = None
        self.is_used = False
        """A task reads it."""
        self.complete: Medium | None = None
        """The medium that it would become: all has arrived, and it waits for its import."""
        self.forget: Callable[[str], Coroutine[Any, Any, None]]
        self._upload = upload
        self._held = held
        self._reopen = reopen
        self._store = store
        self._turn = 0
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[object] | None = None

    @property
    def size(self) -> int:
        return self.stored.received if self._upload is None else self._upload.size

    @property
    def unwrapped(self) -> bool:
        return self._upload is not None and self._upload.unwrapped

    @property
    def is_open(self) -> bool:
        """Whether it is open; not after a restart, until it continues."""
        return self._upload is not None

    @property
    def is_whole(self) -> bool:
        """All has arrived and is durable, but it is no medium yet."""
        return self.complete is not None or (self._upload is not None and self._upload.made is not None)

    @property
    def is_written(self) -> bool:
        """Whether a request is writing to it."""
        return self._writing.locked()

    @property
    def is_live(self) -> bool:
        return self.is_used or (self.is_written and abs(time.time() - self.heard) < LIVE)

    def continues(self, request: ResumableUpload) -> bool:
        """Whether the request begins the same file again."""
        return isinstance(request.fingerprint, str) and request == self.request

    async def write(self, offset: int, pieces: AsyncIterator[bytes], settle: Check) -> Medium | None:
        """Receive data from `offset` on; returns the medium when it is complete. A newer call ends an older one that
        hangs.

        `settle` checks the permission a last time. Raises `Refused(UPLOAD_OFFSET)` if the offset is wrong.
        """
        self._turn += 1
        turn = self._turn
        if self._task is not None:
            self._task.cancel()
        async with self._writing:
            self._check(turn, offset)
            if self._upload is None:
                self._upload = await self._reopen()
                self._check(turn, offset)  # a newer request takes precedence
            upload, self._task = self._upload, asyncio.current_task()
            self.heard = time.time()
            try:
                async for piece in pieces:
                    self._check(turn, None)
                    if piece:
                        self.heard = time.time()
                        await upload.write(piece)
                        if upload.size - self.stored.received >= NOTE:
                            await self.note()
            except asyncio.CancelledError:
                if turn == self._turn or self._task is None:
                    raise
                self._task.uncancel()
                self._check(turn, None)
            finally:
                self._task = None
                await upload.flush()
                if upload.size < self.request.length or self.request.for_import is True:
                    await whole(self.note())
            if upload.size < self.request.length:
                return None
            if self.request.for_import is True:
                settle()
                self.complete = self.complete or await upload.complete()
                return self.complete
            return await upload.finish(settle)

    def _check(self, turn: int, offset: int | None) -> None:
        if self.why_ended is not None:
            raise Refused(Problem.UPLOAD_ENDED, self.why_ended)
        if turn != self._turn or offset not in (None, self.size):
            raise Refused(
                Problem.UPLOAD_OFFSET, f"{self.size} bytes were received: continue from there", field="upload-offset"
            )

    async def note(self) -> None:
        """Make the received data durable, and store its size. If the database refuses, the next call stores it."""
        assert self._upload is not None, "something has come"
        received = self._upload.kept_size
        try:
            if received is None:
                await self._store.remove_upload(self.name)
                received = self._upload.size
            elif self.complete is None:
                await self._upload.sync()
                await self._store.note_upload(self.name, received, int(self.touched))
        except Refused as refused:
            log.warning("the upload of %r: its progress cannot be stored now: %s", self.request.name, refused.message)
        else:
            self.stored = replace(self.stored, received=received)

    async def leave(self) -> None:
        """The server ends: what was received stays."""
        self._stop()
        if self._task is not None:
            self._task.cancel()
        async with self._writing:
            if self._upload is not None and self.complete is None and self._upload.kept_size is not None:
                with suppress(Refused):
                    await self.note()
                    await self._upload.leave()
        await self._held.aclose()

    async def close(self) -> None:
        """Unless it has become a medium, nothing of it is left."""
        self._stop()
        if self._task is not None:
            self._task.cancel()
        async with self._writing:
            await self._held.aclose()

    def _stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if self.watch is not None:
            self.watch.stop()
        self._turn += 1

    async def end(self, why: str) -> None:
        await self.forget(why)
