"""Resumable uploads, over several requests and restarts of the server.

What is stored of an upload (`StoredUpload`) never claims more than is durable: bytes beyond that are sent again. A form
ends with the server, as the state of its parser is not stored.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Collection, Coroutine
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

from velocity import plan
from velocity.access.bounds import BOUNDS, check_own
from velocity.access.directory import Directory
from velocity.access.lasting import RightWatch
from velocity.access.sessions import Caller
from velocity.contract.media import ResumableUpload
from velocity.contract.problems import Problem, Refused
from velocity.media.creation import Creation, uploaded
from velocity.media.library import Library
from velocity.media.port import UploadStore
from velocity.media.reservations import Reservation
from velocity.media.resumable_upload import Resumable
from velocity.media.rules import Medium, StoredUpload
from velocity.media.under_way import UploadsUnderWay
from velocity.media.upload import Upload
from velocity.steady_clock import SteadyClock
from velocity.uninterrupted import whole

log = logging.getLogger(__name__)

IDLE = 24 * 3600
"""Seconds for which an upload waits for more data."""
MOST = 1000
GROUP_GONE = "the group of the upload was deleted"


class Resumables:
    """The uploads under way. An upload waits for lost permissions to return, and ends with its user."""

    def __init__(
        self,
        creation: Creation,
        directory: Directory,
        uploads: UploadsUnderWay,
        store: UploadStore,
        steady: SteadyClock,
        own: int = BOUNDS.user_uploads,
    ) -> None:
        """One user may have `own`."""
        self._creation = creation
        self._directory = directory
        self._under_way = uploads
        self._store = store
        self._steady = steady
        self._own = own
        self._beginning: Counter[int] = Counter()
        self._uploads: dict[str, Resumable] = {}
        self._ended: OrderedDict[str, str] = OrderedDict()
        """Why uploads were ended that others have ended."""
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def under_way(self) -> bool:
        """Whether it is under way, or being ended."""
        return bool(self._uploads or self._ending)

    async def load(self, library: Library) -> None:
        """Load uploads from before the restart; after media and pools."""
        old = self._steady.ago(IDLE)
        for stored in self._store.load_uploads():
            if library.find(stored.mid) is not None:
                await self._store.remove_upload(stored.name)
            elif stored.heard < old or not await self._creation.has(stored):
                await self._creation.drop(uploaded(stored.mid, stored.request))
                await self._store.remove_upload(stored.name)
            else:
                shown = self._show(stored, None, AsyncExitStack())
                if not old:  # nobody knows for how long it has waited
                    self.wait(shown)

    async def begin(self, caller: Caller, request: ResumableUpload) -> Resumable:
        """Reserve its name and bytes, or continue the caller's own upload of the same file. Raises `Refused`."""
        mine = await self._under_way.own(caller, request)
        if isinstance(mine, Resumable) and mine.continues(request) and not mine.is_live:
            self.wait(mine)
            return mine
        if len(self._uploads) >= MOST:
            raise Refused(
                Problem.TOO_MANY_ATTEMPTS, "too many uploads are under way: finish or cancel some of them first"
            )
        others = [one for one in self._uploads.values() if one.uid == caller.uid and one is not mine]
        words = "finish or cancel one first"
        check_own(len(others) + self._beginning[caller.uid], self._own, "uploads under way", "user_uploads", words)
        held = AsyncExitStack()
        self._beginning[caller.uid] += 1
        try:
            upload = await self._creation.begin(caller, request, held)
            upload.lasts = True
        except BaseException:
            await whole(held.aclose())
            raise
        finally:
            self._beginning[caller.uid] -= 1
            self._beginning += Counter()  # removes zero counts
        now = int(time.time())
        stored = StoredUpload(secrets.token_urlsafe(24), upload.mid, caller.uid, request, 0, now, now)
        resumable = self._show(stored, upload, held)
        try:
            await self._store.add_upload(stored)
            self._directory.group(request.gid)  # it may have been deleted meanwhile
        except BaseException:
            await whole(self.end(resumable))
            self._directory.group(request.gid)
            raise
        return resumable

    def _show(self, stored: StoredUpload, upload: Upload | None, held: AsyncExitStack) -> Resumable:
        reservation: Reservation | None = None
        if upload is None:
            reservation = self._creation.reserve_again(stored, held)

        async def reopen() -> Upload:
            assert reservation is not None, "it is from before the restart"
            again = await self._creation.resume(resumable.stored, reservation, held)
            again.lasts = True
            return again

        async def forget(why: str) -> None:
            await self.end(resumable, why)

        resumable = Resumable(stored, upload, held, reopen, self._store)
        resumable.forget = forget
        self._uploads[resumable.name] = resumable
        self._under_way.add(resumable)
        self._set_timer(resumable)
        resumable.watch = RightWatch(lambda: self._check_user(resumable), lambda _: self._expire(resumable))
        return resumable

    def get(self, caller: Caller, name: str) -> Resumable:
        """The caller's own upload. Raises `Refused`."""
        if (why := self._ended.get(name)) is not None:
            raise Refused(Problem.UPLOAD_ENDED, why)
        found = self._uploads.get(name)
        if found is None or found.uid != caller.uid:
            raise Refused(Problem.MEDIUM_NOT_FOUND, "there is no such upload: start it again")
        return found

    def source(self, caller: Caller, mid: UUID) -> tuple[Resumable, Medium]:
        """The caller's own upload that is complete and waits for its import. Raises `Refused`."""
        found = self._under_way.get(mid)
        if not isinstance(found, Resumable) or found.uid != caller.uid or found.complete is None:
            raise Refused(
                Problem.MEDIUM_NOT_FOUND,
                f"no upload {mid} of yours waits for its import: send all of it first, with `for_import`",
                field="upload",
            )
        return found, found.complete

    async def end(self, upload: Resumable, why: str | None = None) -> None:
        """`why`: the message for its client, if somebody else ends it. After the server's end it stays."""
        if self._closed or self._uploads.pop(upload.name, None) is None:
            return
        if why is not None:
            self._ended[upload.name] = upload.why_ended = why
            while len(self._ended) > MOST:
                self._ended.popitem(last=False)
        self._under_way.remove(upload)
        was_open = upload.is_open
        await upload.close()
        if upload.is_whole or not was_open:
            await self._creation.drop(upload.complete or uploaded(upload.mid, upload.request))
        self._in_background(self._forget(upload.name))

    async def _forget(self, name: str) -> None:
        """What cannot be removed now is removed at the next start: its medium exists, or its data does not."""
        try:
            await self._store.remove_upload(name)
        except Refused as refused:
            log.warning("an upload that has ended cannot be forgotten now: %s", refused.message)

    async def close(self) -> None:
        """The server ends: what was received stays, except forms."""
        self._closed = True
        for upload in list(self._uploads.values()):
            await upload.leave()
        if self._ending:
            await asyncio.wait(self._ending)

    def wait(self, upload: Resumable) -> None:
        """It waits another `IDLE` seconds for more data."""
        upload.touched = time.time()
        self._set_timer(upload)

    def _set_timer(self, upload: Resumable) -> None:
        if upload.timer is not None:
            upload.timer.cancel()
        upload.expires = int(upload.touched + IDLE)
        left = max(0.0, upload.touched + IDLE - time.time())
        upload.timer = asyncio.get_running_loop().call_later(left, self._expire, upload)

    def _check_user(self, upload: Resumable) -> None:
        if not upload.is_written:  # an upload that is being written ends with that request
            self._directory.user(upload.uid)

    def _expire(self, upload: Resumable) -> None:
        if upload.is_live:
            self.wait(upload)
        else:
            self._in_background(self.end(upload))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        ending = asyncio.ensure_future(work)
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    def examine(self, gids: Collection[int], *, force: bool, purge: bool) -> None:
        """Implements `velocity.access.port.GroupContents`: uploads do not prevent the deletion of a group."""
        for request in [one.request for one in self._under_way.all() if one.request.gid in gids]:
            plan.step("cancel", "medium", request.name, gid=request.gid)
            plan.consumes(request.gid, {"bytes": -request.length}, mpid=request.mpid)

    async def begin_deletion(self, gids: Collection[int], *, force: bool) -> EndedUploads:
        """Implements `velocity.access.port.GroupContents`: ends the uploads into these groups."""
        uploads = [one for one in self._under_way.all() if one.request.gid in gids]
        for upload in uploads:
            await (self.end(upload) if isinstance(upload, Resumable) else upload.end(GROUP_GONE))
        return EndedUploads("uploads into it were ended" if uploads else "")


class EndedUploads:
    """Ended uploads have nothing to restore or finish."""

    size = 0

    def __init__(self, ended: str) -> None:
        self.ended = ended

    async def restore(self) -> None:
        return None

    def committed(self) -> None:
        return None

    async def finish(self, *, purge: bool) -> None:
        return None
