"""Unfinished uploads, and when a user's new one replaces an older one."""

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
"""Seconds until a connection that was just cut is certainly noticed, and between checks."""
REPLACED = "the upload was replaced by a newer one of the same name"


class UnderWay(Protocol):
    """One of them. `begun`, `heard` (when its last bytes arrived) and `expires` are in Unix seconds."""

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
        """The id of the medium that it becomes."""

    @property
    def size(self) -> int:
        """The bytes that have arrived."""

    @property
    def is_live(self) -> bool:
        """Whether its client seems to be sending."""

    @property
    def is_used(self) -> bool:
        """Whether a task imports it."""

    @property
    def expires(self) -> int | None: ...

    async def end(self, why: str) -> None:
        """Returns when nothing of it is left. Its client gets the reason."""


class UploadsUnderWay:
    """All of them, by the ids of the media that they become."""

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
        """The group of an upload."""
        found = self._uploads.get(mid) if isinstance(mid, UUID) else None
        return None if found is None else found.request

    def of_group(self, gid: int) -> list[UnderWay]:
        """Uploads into the group and all below it, the oldest first."""
        self._directory.group(gid)
        groups, line = self._directory.groups, self._directory.line  # the group of one that is ending may be gone
        found = [one for one in self.all() if one.request.gid in groups and gid in line(one.request.gid)]
        return sorted(found, key=lambda one: one.begun)

    def all(self) -> Iterable[UnderWay]:
        return list(self._uploads.values())

    def named(self, gid: int, mpid: int, name: str) -> UnderWay | None:
        """The upload that has taken this name."""
        places = ((one, one.request) for one in self._uploads.values())
        return next((one for one, at in places if (at.gid, at.mpid, at.name) == (gid, mpid, name)), None)

    def check_name(self, gid: int, mpid: int, name: str) -> None:
        """Raises `Refused` if an upload has taken the name."""
        if (upload := self.named(gid, mpid, name)) is not None:
            raise self._taken(upload)

    async def own(self, caller: Caller, request: UploadMedium) -> UnderWay | None:
        """The caller's own upload of this name. If its connection was just cut, that is noticed."""
        end = time.monotonic() + MOMENT
        while True:
            upload = self.named(request.gid, request.mpid, request.name)
            if upload is None or upload.uid != caller.uid:
                return None
            if not upload.is_live or time.monotonic() > end:
                return upload
            await asyncio.sleep(LOOK)

    async def replace(self, caller: Caller, request: UploadMedium) -> None:
        """End an abandoned upload of the caller's own that has this name.

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
