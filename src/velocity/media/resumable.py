"""Uploads that go on where they broke off, over as many requests as it takes. In memory: a restart ends them."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack

from velocity import plan
from velocity.access.bounds import BOUNDS, check_own
from velocity.access.directory import Directory
from velocity.access.lasting import Check, RightWatch
from velocity.access.sessions import Caller
from velocity.contract.media import UploadMedium
from velocity.contract.problems import Problem, Refused
from velocity.media.creation import Creation
from velocity.media.rules import Medium
from velocity.media.upload import Upload

IDLE = 24 * 3600
"""Seconds for which an upload waits for more of it."""
MOST = 1000


class Resumable:
    """One upload: what has come of it lies on the disk, its name and its bytes are taken."""

    def __init__(self, name: str, caller: Caller, request: UploadMedium, upload: Upload, held: AsyncExitStack) -> None:
        self.name = name
        self.uid = caller.uid
        self.request = request
        self.timer: asyncio.TimerHandle | None = None
        self.watch: RightWatch | None = None
        self._upload = upload
        self._held = held
        self._turn = 0
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[object] | None = None

    @property
    def offset(self) -> int:
        """The bytes that have come."""
        return self._upload.size

    @property
    def is_written(self) -> bool:
        """Whether a request is writing to it."""
        return self._writing.locked()

    async def write(self, offset: int, pieces: AsyncIterator[bytes], settle: Check) -> Medium | None:
        """Take more, from `offset` on; the medium when it is whole. A newer call ends an older one that hangs.

        `settle` looks at the right to it a last time. Raises `Refused(UPLOAD_OFFSET)` when the offset is not where it
        goes on.
        """
        self._turn += 1
        turn = self._turn
        if self._task is not None:
            self._task.cancel()
        async with self._writing:
            self._check(turn, offset)
            self._task = asyncio.current_task()
            try:
                async for piece in pieces:
                    self._check(turn, None)
                    if piece:
                        await self._upload.write(piece)
            except asyncio.CancelledError:
                if turn == self._turn or self._task is None:
                    raise
                self._task.uncancel()
                self._check(turn, None)
            finally:
                self._task = None
                await self._upload.flush()
            if self.offset < self.request.length:
                return None
            return await self._upload.finish(settle)

    def _check(self, turn: int, offset: int | None) -> None:
        if turn != self._turn or offset not in (None, self.offset):
            raise Refused(
                Problem.UPLOAD_OFFSET, f"{self.offset} bytes were received: continue from there", field="upload-offset"
            )

    async def close(self) -> None:
        """Unless it has become a medium, nothing of it remains."""
        if self.timer is not None:
            self.timer.cancel()
        if self.watch is not None:
            self.watch.stop()
        self._turn += 1
        await self._held.aclose()


class Resumables:
    """The uploads under way. One waits for a right that comes back, and ends with its user."""

    def __init__(self, creation: Creation, directory: Directory, own: int = BOUNDS.user_uploads) -> None:
        """`own` may be one user's."""
        self._creation = creation
        self._directory = directory
        self._own = own
        self._beginning: Counter[int] = Counter()
        self._uploads: dict[str, Resumable] = {}
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def under_way(self) -> bool:
        """Whether one is under way, or is being ended."""
        return bool(self._uploads or self._ending)

    async def begin(self, caller: Caller, request: UploadMedium) -> Resumable:
        """Take its name and its bytes. Raises `Refused`."""
        if len(self._uploads) >= MOST:
            raise Refused(
                Problem.TOO_MANY_ATTEMPTS, "too many uploads are under way: finish or cancel some of them first"
            )
        own = sum(one.uid == caller.uid for one in self._uploads.values()) + self._beginning[caller.uid]
        check_own(own, self._own, "uploads under way", "user_uploads", "finish or cancel one first")
        held = AsyncExitStack()
        self._beginning[caller.uid] += 1
        try:
            upload = await held.enter_async_context(self._creation.receive(caller, request))
        finally:
            self._beginning[caller.uid] -= 1
            self._beginning += Counter()  # without those who begin none
        resumable = Resumable(secrets.token_urlsafe(24), caller, request, upload, held)
        self._uploads[resumable.name] = resumable
        self.wait(resumable)
        resumable.watch = RightWatch(lambda: self._check_user(resumable), lambda _: self._expire(resumable))
        return resumable

    def get(self, caller: Caller, name: str) -> Resumable:
        """One's own upload. Raises `Refused`."""
        found = self._uploads.get(name)
        if found is None or found.uid != caller.uid:
            raise Refused(Problem.MEDIUM_NOT_FOUND, "there is no such upload: start it again")
        return found

    async def end(self, upload: Resumable) -> None:
        self._uploads.pop(upload.name, None)
        await upload.close()

    async def close(self) -> None:
        for upload in list(self._uploads.values()):
            await self.end(upload)
        if self._ending:
            await asyncio.wait(self._ending)

    def wait(self, upload: Resumable) -> None:
        """`IDLE` seconds from now on for more of it."""
        if upload.timer is not None:
            upload.timer.cancel()
        upload.timer = asyncio.get_running_loop().call_later(IDLE, self._expire, upload)

    def _check_user(self, upload: Resumable) -> None:
        if not upload.is_written:  # that request ends first, by itself
            self._directory.user(upload.uid)

    def _expire(self, upload: Resumable) -> None:
        ending = asyncio.ensure_future(self.end(upload))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    def examine(self, gids: Collection[int], *, force: bool, purge: bool) -> None:
        """Keeps `velocity.access.port.GroupContents`: uploads keep no group from going."""
        for request in [one.request for one in self._uploads.values() if one.request.gid in gids]:
            plan.step("cancel", "medium", request.name, gid=request.gid)
            plan.consumes(request.gid, {"bytes": -request.length}, mpid=request.mpid)

    async def begin_deletion(self, gids: Collection[int], *, force: bool) -> EndedUploads:
        """Keeps `velocity.access.port.GroupContents`: uploads into groups that are being deleted are ended."""
        for upload in [one for one in self._uploads.values() if one.request.gid in gids]:
            await self.end(upload)
        return EndedUploads()


class EndedUploads:
    """Uploads that were ended have nothing left to restore or to finish."""

    size = 0

    async def restore(self) -> None:
        return None

    def committed(self) -> None:
        return None

    async def finish(self, *, purge: bool) -> None:
        return None
