"""Creates media, blank or by upload: reserved, written hidden, committed, then shown."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from uuid import UUID, uuid4

from velocity import plan
from velocity.access.directory import Directory
from velocity.access.lasting import Check, check_admitted, still_holds
from velocity.access.sessions import Caller
from velocity.access.updates import DirectoryWriter
from velocity.contract.media import Content, CreateMedium, UploadMedium
from velocity.contract.permissions import Permission
from velocity.contract.problems import OutcomeUnknown, Problem, Refused
from velocity.media import form
from velocity.media.assignments import Assignments
from velocity.media.library import Library
from velocity.media.port import MediaStore
from velocity.media.reservations import Reservation, Reservations
from velocity.media.room import Room
from velocity.media.rules import CALL_DEADLINE, Medium, StoredUpload
from velocity.media.states import PoolStates
from velocity.media.under_way import UploadsUnderWay
from velocity.media.upload import Upload
from velocity.media.usage import DiskUsage
from velocity.storage.port import Belongs, Blobs, Incoming, Trash
from velocity.uninterrupted import whole

PIECE = 1 << 20
"""Bytes that are read from a pool at once."""


class Creation:
    """Creates media, and registers those made by tasks (`keep`)."""

    def __init__(
        self,
        store: MediaStore,
        blobs: Blobs,
        trash: Trash,
        directory: Directory,
        updates: DirectoryWriter,
        library: Library,
        assignments: Assignments,
        reservations: Reservations,
        states: PoolStates,
        room: Room,
        usage: DiskUsage,
        uploads: UploadsUnderWay,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._trash = trash
        self._directory = directory
        self._updates = updates
        self._library = library
        self._assignments = assignments
        self._reservations = reservations
        self._states = states
        self._room = room
        self._usage = usage
        self._uploads = uploads

    async def create(self, caller: Caller, request: CreateMedium) -> Medium:
        """Create a blank medium."""
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
    async def receive(self, caller: Caller, request: UploadMedium, opening: bytes = b"") -> AsyncIterator[Upload]:
        """An upload in one request. If anything inside fails, nothing of it is left, and name and quota are released.
        `opening`: the beginning of its body, if known.
        """
        async with AsyncExitStack() as held:
            gone = asyncio.Event()
            held.callback(gone.set)
            upload = await self.begin(caller, request, held, opening)
            upload.gone = gone
            held.callback(self._uploads.remove, upload)
            self._uploads.add(upload)
            yield upload

    async def begin(self, caller: Caller, request: UploadMedium, held: AsyncExitStack, opening: bytes = b"") -> Upload:
        """Begin an upload; `held` ends it, even if this raises. An abandoned one of the caller's of that name ends."""
        wrapped = form.recognize(opening)
        size = request.length if wrapped is None else max(0, request.length - wrapped.wrapping)
        medium = replace(uploaded(uuid4(), request), size=size)
        self._assignments.check_managed(caller, medium.gid, medium.mpid)
        await self._uploads.replace(caller, request)
        reservation = held.enter_context(self._reservations.reserve(medium))
        await self._states.check(medium.mpid)
        await self._room.find(medium.gid, medium.mpid, medium.size)
        self._directory.group(medium.gid)  # it may have been deleted meanwhile
        plan.step("create", "medium", medium.name, gid=medium.gid)
        plan.stop_here()
        incoming = await self._blobs.put(medium.ref, deadline=CALL_DEADLINE)
        return self._upload(caller.uid, medium, request, incoming, reservation, held)

    def reserve_again(self, stored: StoredUpload, held: AsyncExitStack) -> Reservation:
        """Reserve name and bytes of an upload from before a restart; never refused."""
        return held.enter_context(self._reservations.reserve(uploaded(stored.mid, stored.request), had=True))

    async def has(self, stored: StoredUpload) -> bool:
        """Whether its data exists, as far as its pool can tell: not after the pool was moved to another host."""
        ref = uploaded(stored.mid, stored.request).ref
        try:
            (found,) = await self._blobs.stat(ref.pool, (ref,), deadline=CALL_DEADLINE)
        except Refused:
            return True
        return found is not None and found.size >= stored.received

    async def resume(self, stored: StoredUpload, reservation: Reservation, held: AsyncExitStack) -> Upload:
        """Continue an upload from before a restart. Raises `Refused(MEDIUM_NOT_FOUND)` if its data is gone."""
        medium = uploaded(stored.mid, stored.request)
        await self._states.check(medium.mpid)
        incoming = await self._blobs.resume(medium.ref, stored.received, deadline=CALL_DEADLINE)
        return self._upload(stored.uid, medium, stored.request, incoming, reservation, held, stored.received)

    def _upload(
        self,
        uid: int,
        medium: Medium,
        request: UploadMedium,
        incoming: Incoming,
        reservation: Reservation,
        held: AsyncExitStack,
        size: int = 0,
    ) -> Upload:
        held.push_async_callback(lambda: whole(incoming.close()))
        return Upload(uid, medium, incoming, request, reservation, self.keep, self._digest, size)

    async def _digest(self, medium: Medium) -> str:
        """The SHA-256 of the data in the pool."""
        found, at = hashlib.sha256(), 0
        content = await self._blobs.get(medium.ref, deadline=CALL_DEADLINE)
        try:
            while piece := await content.read(at, PIECE):
                await asyncio.to_thread(found.update, piece)
                at += len(piece)
        finally:
            await content.close()
        return found.hexdigest()

    async def drop(self, medium: Medium) -> None:
        """Remove a complete object that does not become a medium."""
        await self._settle(medium, Belongs.NOWHERE)

    async def keep(self, medium: Medium, settle: Check = lambda: None, *, again: bool = False) -> None:
        """Commit, then show. The object stays hidden until then, and is removed if nothing was committed; if the store
        does not respond, and this will be called `again`, it stays.

        `settle` checks the permission a last time. After the commit nothing is undone or reported as failed.
        """
        try:
            with self._updates.under_way.of(medium.gid):
                self._directory.group(medium.gid)
                settle()
                await self._store.add(medium)
                self.show([medium])
        except OutcomeUnknown:
            raise  # the next start asks the database
        except Exception as error:
            if not (again and isinstance(error, Refused) and error.problem is Problem.UNAVAILABLE):
                await self._settle(medium, Belongs.NOWHERE)
            raise
        await self.settle([medium])

    def show(self, media: Sequence[Medium]) -> None:
        """These are committed: show and settle them."""
        for medium in media:
            self._reservations.keep(medium)
            self._library.add(medium)

    async def settle(self, media: Sequence[Medium]) -> None:
        for medium in media:
            await self._settle(medium, Belongs.KEPT)
        await self._usage.measure(media)

    async def _settle(self, medium: Medium, belongs: Belongs) -> None:
        await self._trash.settle(medium.ref, belongs, deadline=CALL_DEADLINE)


def uploaded(mid: UUID, request: UploadMedium) -> Medium:
    """The medium that an upload becomes."""
    return Medium(
        mid=mid,
        mpid=request.mpid,
        gid=request.gid,
        name=request.name,
        type=request.type,
        size=request.length,
        readonly=request.readonly,
        format="raw",
        content=Content(format="unknown"),
    )


def still_creates(directory: Directory, assignments: Assignments, caller: Caller, medium: Medium) -> Check:
    """A check for the task that creates this medium."""
    check_holds = still_holds(directory, caller.uid, Permission.MEDIA_CREATE, medium.gid)

    def check() -> None:
        check_holds()
        assignments.check_managed(caller, medium.gid, medium.mpid)

    return check
