"""Unfinished uploads: which there are, and when a user's new one replaces an older one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Protocol
from uuid import UUID

from velocity import plan
from velocity.access import naming
from velocity.access.directory import Directory
from velocity.access.sessions import Caller
from velocity.contract.media import UploadMedium
from velocity.contract.problems import Problem, Refused

MOMENT, LOOK = 2.0, 0.05
"""Seconds: so long takes it, at most, until a connection that was just cut is known to be."""
REPLACED = "the upload was replaced by a newer one of the same name"


class UnderWay(Protocol):
    """One of them. `begun`, `heard` (when its last bytes came) and `expires` in unix seconds."""

    @property
    def uid(self) -> int: ...

    @property
    def request(self) -> UploadMedium: ...

    @property
    def begun(self) -> int: ...

    @property
    def heard(self) -> float: ...

    @property
    def mid(self) -> UUID:
        """Of the medium that it becomes."""

    @property
    def size(self) -> int:
        """The bytes that have come."""

    @property
    def is_live(self) -> bool:
        """Whether its client is at it, as far as one can tell."""

    @property
    def is_used(self) -> bool:
        """Whether a task imports it."""

    @property
    def expires(self) -> int | None: ...

    async def end(self, why: str) -> None:
        """Returns when nothing of it remains. Whoever sends it is told why."""


class UploadsUnderWay:
    """All of them, by the media that they become."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._uploads: dict[UUID, UnderWay] = {}

    def add(self, upload: UnderWay) -> None:
        self._uploads[upload.mid] = upload

    def remove(self, upload: UnderWay) -> None:
        self._uploads.pop(upload.mid, None)

    def get(self, mid: UUID) -> UnderWay:
        try:
            return self._uploads[mid]
        except KeyError:
            raise Refused(
                Problem.MEDIUM_NOT_FOUND, f"there is no upload {mid} under way: it may have ended", field="mid"
            ) from None

    def group_of(self, mid: object) -> UploadMedium | None:
        """What says whose it is."""
        found = self._uploads.get(mid) if isinstance(mid, UUID) else None
        return None if found is None else found.request

    def of_group(self, gid: int) -> list[UnderWay]:
        """Those into it and into all below it, the oldest first."""
        self._directory.group(gid)
        groups, line = self._directory.groups, self._directory.line  # one that ends may be without its group already
        found = [one for one in self.all() if one.request.gid in groups and gid in line(one.request.gid)]
        return sorted(found, key=lambda one: one.begun)

    def all(self) -> Iterable[UnderWay]:
        return list(self._uploads.values())

    def named(self, gid: int, mpid: int, name: str) -> UnderWay | None:
        """The one that has taken this name."""
        places = ((one, one.request) for one in self._uploads.values())
        return next((one for one, at in places if (at.gid, at.mpid, at.name) == (gid, mpid, name)), None)

    def check_name(self, gid: int, mpid: int, name: str) -> None:
        """Raises `Refused` for a name that an upload has taken, and says so."""
        if (upload := self.named(gid, mpid, name)) is not None:
            raise self._taken(upload)

    async def own(self, caller: Caller, request: UploadMedium) -> UnderWay | None:
        """The caller's own of this name; if it was cut in this moment, it is known to be."""
        end = time.monotonic() + MOMENT
        while True:
            upload = self.named(request.gid, request.mpid, request.name)
            if upload is None or upload.uid != caller.uid:
                return None
            if not upload.is_live or time.monotonic() > end:
                return upload
            await asyncio.sleep(LOOK)

    async def replace(self, caller: Caller, request: UploadMedium) -> None:
        """An upload of the caller's own that has this name and that nobody sends any more is ended.

        Raises `Refused(MEDIUM_NAME_TAKEN)` for one that is being sent, and for another user's.
        """
        upload = await self.own(caller, request) or self.named(request.gid, request.mpid, request.name)
        if upload is None:
            return
        if upload.uid != caller.uid or upload.is_live:
            raise self._taken(upload)
        if plan.is_plan():
            plan.step("cancel", "medium", request.name, gid=request.gid)
            plan.consumes(request.gid, {"bytes": request.length - upload.request.length}, mpid=request.mpid)
            plan.step("create", "medium", request.name, gid=request.gid)
        plan.stop_here()
        await upload.end(REPLACED)

    def _taken(self, upload: UnderWay) -> Refused:
        mine = naming.visible_name(self._directory, "medium", upload.request.name, upload.request.gid)
        if upload.is_used:
            words = f"{mine} is being imported: wait until that task has ended, or cancel it (`velocity task list`)"
            return Refused(Problem.MEDIUM_NAME_TAKEN, words, field="name")
        who = "you are" if naming.caller.get() == upload.uid else "another user is"
        return Refused(
            Problem.MEDIUM_NAME_TAKEN,
            f"{who} uploading {mine}: wait until that has ended, end it (`velocity media cancel`, DELETE "
            "/m/media/upload), or choose another name",
            field="name",
        )
