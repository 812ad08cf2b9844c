"""Makes media from others, as tasks: imports and clones."""

from __future__ import annotations

from collections import defaultdict
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID, uuid4

from msgspec import UNSET

from velocity import plan
from velocity.access.directory import Directory
from velocity.access.lasting import Check, WhileAllowed
from velocity.access.sessions import Caller
from velocity.contract.media import CloneMedium, Content, ImportMedium
from velocity.contract.problems import Problem, Refused
from velocity.fair import FairGate
from velocity.media.assignments import Assignments
from velocity.media.creation import Creation, still_creates
from velocity.media.library import Library
from velocity.media.reservations import Reservation, Reservations
from velocity.media.resumable import Resumables
from velocity.media.resumable_upload import Resumable
from velocity.media.room import Room
from velocity.media.rules import CALL_DEADLINE, Medium, described
from velocity.media.sources import Sources
from velocity.media.states import PoolStates
from velocity.storage.formats import refused
from velocity.storage.port import Clone, Import, Job, JobProgress, Jobs, Made, Prepared
from velocity.tasks.service import TaskProgress, Tasks
from velocity.uninterrupted import whole

AT_ONCE, OWN = 3, 2
"""Tasks that run at a time between two pools: in total, and for one user. Others wait in turn."""


@dataclass(frozen=True)
class Copy:
    """A clone as a part of something else; `takes` are bytes of the pool."""

    source: Medium
    medium: Medium
    size: int
    takes: int
    reservation: Reservation
    check: Check


class Conversions:
    """Imports and clones."""

    def __init__(
        self,
        jobs: Jobs,
        directory: Directory,
        library: Library,
        assignments: Assignments,
        states: PoolStates,
        room: Room,
        sources: Sources,
        reservations: Reservations,
        creation: Creation,
        resumables: Resumables,
        tasks: Tasks,
    ) -> None:
        self._jobs = jobs
        self._directory = directory
        self._library = library
        self._assignments = assignments
        self._states = states
        self._room = room
        self._sources = sources
        self._reservations = reservations
        self._creation = creation
        self._resumables = resumables
        self._tasks = tasks
        self._turns: defaultdict[tuple[int, int], FairGate] = defaultdict(lambda: FairGate(AT_ONCE, OWN))

    async def import_(self, caller: Caller, request: ImportMedium) -> int:
        """Begin the task that imports the disk in another medium's bytes.

        Raises `Refused` before it begins; packed content is known only when it is unpacked.
        """
        upload, source = await self._source_of(caller, request)
        if source.format != "raw":
            raise refused(f"it is a medium of the format {source.format} already: clone it, or attach it as it is")
        medium = Medium(
            mid=uuid4(), mpid=request.mpid, gid=request.gid, name=request.name, type=request.type, size=0,
            readonly=False, format=request.format, content=Content(format="unknown"),
        )  # fmt: skip
        job = Import(source.ref, medium.ref)
        async with AsyncExitStack() as held:
            if upload is not None:
                held.callback(setattr, upload, "is_used", False)
                upload.is_used = True
            prepared = await self._prepare(source, job, held, "imported as", medium)
            medium = replace(medium, size=prepared.size)
            return await self._begin(caller, "import", source, medium, prepared.takes, held.pop_all(), upload)

    async def clone(self, caller: Caller, request: CloneMedium) -> int:
        """Begin the task that copies a medium, into another format if requested. Raises `Refused` before it begins."""
        async with AsyncExitStack() as held:
            source, medium, prepared = await self._prepare_clone(caller, request, held)
            return await self._begin(caller, "clone", source, medium, prepared.takes, held.pop_all())

    async def _prepare_clone(
        self, caller: Caller, request: CloneMedium, held: AsyncExitStack
    ) -> tuple[Medium, Medium, Prepared]:
        source = await self._look(caller, request.mid, request.gid, request.mpid)
        format_ = request.format if isinstance(request.format, str) else source.format
        medium = replace(
            source, mid=uuid4(), mpid=request.mpid, gid=request.gid, name=request.name, readonly=False, format=format_
        )
        return source, medium, await self._prepare(source, Clone(source.ref, medium.ref), held, "cloned to", medium)

    async def copy(self, caller: Caller, request: CloneMedium, held: AsyncExitStack) -> Copy:
        """Reserve everything for a copy, which `fill` makes; `held` releases it. Raises `Refused`."""
        source, medium, prepared = await self._prepare_clone(caller, request, held)
        reservation = held.enter_context(self._reservations.reserve(medium))
        check = self._still_allowed(caller, source, medium)
        return Copy(source, medium, prepared.size, prepared.takes, reservation, check)

    async def fill(self, caller: Caller, copy: Copy, progress: TaskProgress, right: WhileAllowed) -> Medium:
        """Make the copy, which stays hidden until it is committed and settled. If that fails, nothing of it is left."""
        async with self._turns[copy.source.mpid, copy.medium.mpid].place(caller.uid):
            return await self._fill(copy.medium, copy.reservation, progress, right)

    def turn(self, caller: Caller, source: int, target: int) -> AbstractAsyncContextManager[None]:
        """Within, the caller has a turn among tasks between these pools."""
        return self._turns[source, target].place(caller.uid)

    async def import_fetched(
        self, caller: Caller, file: Medium, medium: Medium, reservation: Reservation, progress: TaskProgress,
        right: WhileAllowed,
    ) -> UUID:  # fmt: skip
        """Within a task that has fetched a file: create the medium from the disk in it."""
        async with AsyncExitStack() as held, self._turns[file.mpid, medium.mpid].place(caller.uid):
            prepared = await self._prepare(file, Import(file.ref, medium.ref), held, "imported as", medium)
            reservation.take(prepared.size)
            await self._room.find(medium.gid, medium.mpid, prepared.takes)
            return await self._make(replace(medium, size=prepared.size), reservation, progress, right)

    async def _source_of(self, caller: Caller, request: ImportMedium) -> tuple[Resumable | None, Medium]:
        """The source of an import: a medium, or an upload for it, which ends with the task."""
        if isinstance(request.mid, UUID) and request.upload is UNSET:
            return None, await self._look(caller, request.mid, request.gid, request.mpid)
        if not isinstance(request.upload, UUID) or request.mid is not UNSET:
            words = "name either `mid`, a medium, or `upload`, an upload that waits for its import"
            raise Refused(Problem.MALFORMED, words, field="mid")
        self._assignments.check_managed(caller, request.gid, request.mpid)
        await self._states.check(request.mpid)
        return self._resumables.source(caller, request.upload)

    async def _look(self, caller: Caller, mid: UUID, gid: int, mpid: int) -> Medium:
        """The source. Raises `Refused`, also if nothing can be created in the target's pool."""
        self._assignments.check_managed(caller, gid, mpid)
        source = self._library.visible(caller, gid, mid, field="mid")
        await self._states.check(mpid)
        await self._states.check(source.mpid, writes=False)
        source = self._library.visible(caller, gid, mid, field="mid")
        self._assignments.check_managed(caller, gid, mpid)
        return source

    async def _prepare(
        self,
        source: Medium,
        job: Job,
        held: AsyncExitStack,
        does: Literal["cloned to", "imported as"],
        made: Medium,
    ) -> Prepared:
        """Prepare the job; `held` releases the source, and the job with anything unfinished."""
        held.enter_context(self._sources.reading(source, does, made))
        prepared = await self._jobs.prepare(job, deadline=CALL_DEADLINE)
        held.push_async_callback(lambda: whole(self._jobs.cancel(job.target, deadline=CALL_DEADLINE)))
        return prepared

    def _still_allowed(self, caller: Caller, source: Medium, medium: Medium) -> Check:
        """A check that the task is still allowed."""
        user = self._directory.user(caller.uid)
        check_creates = still_creates(self._directory, self._assignments, caller, medium)

        def check() -> None:
            check_creates()
            if not self._library.is_visible(caller, medium.gid, source):
                raise Refused(Problem.NO_PERMISSION, f"{user.name!r}, who began it, may no longer use its source")

        return check

    async def _begin(
        self,
        caller: Caller,
        kind: str,
        source: Medium,
        medium: Medium,
        takes: int,
        held: AsyncExitStack,
        upload: Resumable | None = None,
    ) -> int:
        """Begin the task. `takes`: bytes of the pool; `held` is released at its end, and `upload` ended."""

        still = self._still_allowed(caller, source, medium)
        turn = self._turns[source.mpid, medium.mpid].place(caller.uid)

        async def work(progress: TaskProgress) -> UUID:
            try:
                async with held, WhileAllowed(still) as right, turn:
                    return await self._make(medium, reservation, progress, right)
            finally:
                if upload is not None:
                    await whole(self._resumables.end(upload))

        async def prepare() -> None:
            await self._room.find(medium.gid, medium.mpid, takes)
            self._directory.group(medium.gid)  # it may have been deleted meanwhile
            plan.step("create", "medium", medium.name, gid=medium.gid)

        try:
            reservation = held.enter_context(self._reservations.reserve(medium))
            return await self._tasks.begin(
                caller, kind, medium.gid, medium.name, medium.mid, work, reservation.frees, prepare
            )
        except BaseException:
            await whole(held.aclose())
            raise

    async def _make(
        self, medium: Medium, reservation: Reservation, progress: TaskProgress, right: WhileAllowed
    ) -> UUID:
        """Make the medium. If that fails, nothing of it is left."""
        medium = await self._fill(medium, reservation, progress, right)
        await whole(self._creation.keep(medium, right.settle))  # from here on, the database decides
        return medium.mid

    async def _fill(
        self, medium: Medium, reservation: Reservation, progress: TaskProgress, right: WhileAllowed
    ) -> Medium:
        await self._jobs.start(medium.ref, reservation.size, deadline=CALL_DEADLINE)
        async for now in self._jobs.watch(medium.ref):
            if isinstance(now, Made):  # it is checked before its commit
                medium = described(replace(medium, size=now.size), now.content)
            else:
                right.check()
                await self._go_on(medium, now, reservation, progress)
        reservation.fit(medium.size)
        return medium

    async def _go_on(self, medium: Medium, now: JobProgress, reservation: Reservation, progress: TaskProgress) -> None:
        if progress.total != now.total:
            progress.total = now.total
        if progress.done != now.done:
            progress.done = now.done
        if now.wants > reservation.size:
            wants = now.wants
            try:
                reservation.take(wants - reservation.size)
            except Refused:
                if not reservation.size < now.needs < wants:
                    raise
                wants = now.needs
                reservation.take(wants - reservation.size)
            await self._room.find(medium.gid, medium.mpid, max(0, now.room - (now.wants - wants)))
            await self._jobs.allow(medium.ref, wants, deadline=CALL_DEADLINE)
