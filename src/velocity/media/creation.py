"""How media come to be, blank or by an upload: reserved, written out of sight, committed, then shown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from velocity import plan
from velocity.access.directory import Directory
from velocity.access.lasting import Check, check_admitted
from velocity.access.sessions import Caller
from velocity.contract.media import Content, CreateMedium, UploadMedium
from velocity.contract.problems import OutcomeUnknown, Refused
from velocity.media.assignments import Assignments
from velocity.media.library import Library
from velocity.media.port import MediaStore
from velocity.media.reservations import Reservations
from velocity.media.room import Room
from velocity.media.rules import CALL_DEADLINE, Medium
from velocity.media.states import PoolStates
from velocity.media.upload import Upload
from velocity.media.usage import DiskUsage
from velocity.storage.port import Belongs, Blobs, Trash
from velocity.uninterrupted import whole


class Creation:
    """Makes media, and keeps what others have made (`keep`)."""

    def __init__(
        self,
        store: MediaStore,
        blobs: Blobs,
        trash: Trash,
        directory: Directory,
        library: Library,
        assignments: Assignments,
        reservations: Reservations,
        states: PoolStates,
        room: Room,
        usage: DiskUsage,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._trash = trash
        self._directory = directory
        self._library = library
        self._assignments = assignments
        self._reservations = reservations
        self._states = states
        self._room = room
        self._usage = usage

    async def create(self, caller: Caller, request: CreateMedium) -> Medium:
        """A blank one."""
        medium = Medium(
            mid=uuid4(),
            mpid=request.mpid,
            gid=request.gid,
            name=request.name,
            type=request.type,
            size=request.size,
            readonly=False,
            format=request.format,
            content=Content(format="blank"),
        )
        self._assignments.check_managed(caller, medium.gid, medium.mpid)
        with self._reservations.reserve(medium):
            await self._states.check(medium.mpid)
            plan.step("create", "medium", medium.name, gid=medium.gid)
            plan.stop_here()
            await self._blobs.create(medium.ref, medium.size, deadline=CALL_DEADLINE)
            await self.keep(medium, check_admitted)
        return medium

    @asynccontextmanager
    async def receive(self, caller: Caller, request: UploadMedium) -> AsyncIterator[Upload]:
        """An upload. Whatever goes wrong inside, nothing of it remains, and its name and quota are given back."""
        medium = Medium(
            mid=uuid4(),
            mpid=request.mpid,
            gid=request.gid,
            name=request.name,
            type=request.type,
            size=request.length,
            readonly=request.readonly,
            format="raw",
            content=Content(format="unknown"),
        )
        self._assignments.check_managed(caller, medium.gid, medium.mpid)
        with self._reservations.reserve(medium):
            await self._states.check(medium.mpid)
            await self._room.find(medium.gid, medium.mpid, medium.size)
            self._directory.group(medium.gid)  # it may have been deleted meanwhile
            plan.step("create", "medium", medium.name, gid=medium.gid)
            plan.stop_here()
            incoming = await self._blobs.put(medium.ref, deadline=CALL_DEADLINE)
            try:
                yield Upload(medium, incoming, request, self.keep)
            finally:
                await whole(incoming.close())

    async def keep(self, medium: Medium, settle: Check = lambda: None) -> None:
        """Commit, then show. Its object waits out of sight, and goes when it is known that nothing was committed.

        `settle` looks at the right to it a last time. After the commit nothing is undone or told as failed.
        """
        try:
            settle()
            await self._store.add(medium)
        except OutcomeUnknown:
            raise  # the next start asks the database
        except Exception:
            await self._settle(medium, Belongs.NOWHERE)
            self._directory.group(medium.gid)  # deleted meanwhile: then that is what went wrong
            raise
        try:
            self._directory.group(medium.gid)
        except Refused:  # it is being deleted, and this medium came too late to be deleted with it
            await self._store.remove(medium.mid)
            await self._settle(medium, Belongs.NOWHERE)
            raise
        self._reservations.keep(medium)
        self._library.add(medium)
        await self._settle(medium, Belongs.KEPT)
        await self._usage.measure([medium])

    async def _settle(self, medium: Medium, belongs: Belongs) -> None:
        await self._trash.settle(medium.ref, belongs, deadline=CALL_DEADLINE)
