"""Moves media to other groups or pools, and converts or compacts them in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from uuid import UUID

from msgspec import UNSET

from velocity import plan
from velocity.access.directory import Directory
from velocity.access.lasting import Check, WhileAllowed, check_admitted, still_holds
from velocity.access.sessions import Caller
from velocity.access.updates import DirectoryWriter
from velocity.contract.medium import ConvertMedium, MoveMedium
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem, Refused
from velocity.media.assignments import Assignments
from velocity.media.attachments import Attachments
from velocity.media.conversions import Conversions
from velocity.media.copying import Change, CopiesInRuns, Copying, FileCopying, LiveCopying
from velocity.media.creation import still_creates
from velocity.media.library import Library
from velocity.media.port import MediaStore
from velocity.media.reservations import Reservations
from velocity.media.room import Room
from velocity.media.rules import Medium, grows_not, written_by_nobody
from velocity.media.sources import Does, Sources
from velocity.media.states import PoolStates
from velocity.media.usage import DiskUsage
from velocity.storage.formats import refused
from velocity.storage.port import Blobs, Jobs, Trash
from velocity.tasks.service import TaskProgress, Tasks
from velocity.uninterrupted import whole

NOTHING_WAITS: dict[str, str] = {}
DOES: dict[str, Does] = {"move": "being moved", "convert": "being converted", "compact": "being compacted"}


class Relocation:
    """Moves and converts media. Their VMs keep them, as they know them by their ids.

    New bytes are written beside the old ones, hidden. The database then decides which count, and the others are
    removed, also after a crash. A VM that runs with a medium continues meanwhile (`copying.LiveCopying`).
    """

    def __init__(
        self,
        store: MediaStore,
        jobs: Jobs,
        blobs: Blobs,
        trash: Trash,
        directory: Directory,
        updates: DirectoryWriter,
        library: Library,
        attachments: Attachments,
        assignments: Assignments,
        states: PoolStates,
        room: Room,
        sources: Sources,
        reservations: Reservations,
        conversions: Conversions,
        usage: DiskUsage,
        tasks: Tasks,
        in_runs: CopiesInRuns,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._blobs = blobs
        self._in_runs = in_runs
        self._trash = trash
        self._directory = directory
        self._updates = updates
        self._library = library
        self._attachments = attachments
        self._assignments = assignments
        self._states = states
        self._room = room
        self._sources = sources
        self._reservations = reservations
        self._conversions = conversions
        self._usage = usage
        self._tasks = tasks

    async def move(self, caller: Caller, request: MoveMedium) -> int | None:
        """Begin the task that moves its bytes; None if none move, and it is done. Raises `Refused` before it begins."""
        old = self._library.get(request.mid)
        gid = old.gid if request.gid is UNSET else request.gid
        mpid = old.mpid if request.mpid is UNSET else request.mpid
        self._check_creates(caller, gid)
        self._assignments.check_managed(caller, gid, mpid)
        for one in {old.mpid, mpid} if old.mpid != mpid else ():
            await self._states.check(one)
        check_admitted()
        self._check_creates(caller, gid)
        old = self._library.get(request.mid)
        new = replace(old, gid=gid, mpid=mpid)
        self._states.check_declared(old)
        self._check_attached(old, new)
        changes = {field: (getattr(old, field), getattr(new, field)) for field in ("gid", "mpid")}
        runs = old.mpid != new.mpid and self._runs(old, mpid)
        self._tell(old, changes, runs=runs)
        if old == new:
            return None
        if old.mpid != new.mpid:
            return await self._begin(caller, Change("move", old, new), runs=runs)
        with self._sources.changing(old, "being changed", alone=False), self._reservations.change(old, new) as keep:
            await whole(self._keep(new, keep, check_admitted))
        return None

    async def convert(self, caller: Caller, request: ConvertMedium) -> int:
        """Begin the task. Raises `Refused` before it begins."""
        old = self._library.get(request.mid)
        self._assignments.check_managed(caller, old.gid, old.mpid)
        await self._states.check(old.mpid)
        check_admitted()
        old = self._library.get(request.mid)
        self._states.check_declared(old)
        kind = "compact" if request.format == old.format else "convert"
        if kind == "convert" and (why := grows_not(old)):
            raise refused(why, done="converted")
        new = replace(old, format=request.format)
        runs = self._runs(old, new.mpid)
        self._tell(old, {"allocated": None} if kind == "compact" else {"format": (old.format, new.format)}, runs=runs)
        return await self._begin(caller, Change(kind, old, new), runs=runs)

    def _check_creates(self, caller: Caller, gid: int) -> None:
        """The permission on the new group; a missing group counts as group 0, as everywhere."""
        if not self._directory.holds(caller.uid, Permission.MEDIA_CREATE, self._directory.existing(gid)):
            raise Refused(
                Problem.NO_PERMISSION,
                f"you need {Permission.MEDIA_CREATE.value} on {self._directory.called(caller.uid, gid)}, where it "
                "is to go: ask someone who can assign it there",
                field="gid",
            )

    def _check_attached(self, old: Medium, new: Medium) -> None:
        """Raises `Refused` if a VM could not use it as before: VMs may write only to media of their own group."""
        for holder in self._attachments.attached_vms(old.mid) if old.gid != new.gid else ():
            shared = written_by_nobody(old) and new.gid in self._directory.line(holder.gid)
            if holder.gid != new.gid and not shared:
                mine, vm = self._library.visible_name(old), self._attachments.visible_name(holder)
                raise Refused(
                    Problem.MEDIUM_ATTACHED,
                    f"{mine} is attached to {vm}, which is not in the new group and could no longer use it as it does: "
                    "detach it there first",
                    field="gid",
                )

    def _runs(self, medium: Medium, mpid: int) -> bool:
        """Whether a VM runs with it. Raises `Refused` if that could not continue with another file in that pool."""
        runs = [one for one in self._attachments.attached_vms(medium.mid) if one.writing or one.reading]
        if runs and (len(runs) > 1 or not runs[0].writing):
            mine, vm = self._library.visible_name(medium), self._attachments.visible_name(runs[0])
            raise Refused(
                Problem.MEDIUM_IN_USE,
                f"{vm} runs with {mine} and only reads it: stop it first, as only a disk that it writes to may move "
                "under it",
                field="mid",
            )
        if runs:
            self._in_runs.check(medium, mpid)
        return bool(runs)

    def _tell(self, medium: Medium, changes: Mapping[str, tuple[object, object] | None], *, runs: bool) -> None:
        """Tell the plan: a running VM sees all of it at once."""
        live = [field for field, both in changes.items() if runs and (both is None or both[0] != both[1])]
        plan.step(
            "change", "medium", medium.name, id=medium.mid, gid=medium.gid, changes=changes, live=(live, NOTHING_WAITS)
        )

    async def _begin(self, caller: Caller, change: Change, *, runs: bool) -> int:
        old, new = change.old, change.new
        check = self._still_allowed(caller, change)
        measure = partial(self._usage.measure, [new])
        copying: Copying = FileCopying(change, self._jobs, self._trash, measure)
        if runs:
            copying = LiveCopying(change, self._blobs, self._trash, self._in_runs, measure)
        async with AsyncExitStack() as stack:
            stack.enter_context(self._sources.changing(old, DOES[change.kind], alone=not runs))
            keep = stack.enter_context(self._reservations.change(old, new))
            takes = await copying.prepare()
            stack.push_async_callback(lambda: whole(copying.close()))
            held = stack.pop_all()

        async def work(progress: TaskProgress) -> UUID:
            turn = self._conversions.turn(caller, old.mpid, new.mpid)
            async with held, WhileAllowed(check) as right, turn:
                await copying.carry_out(progress, right, lambda: self._keep(new, keep, right.settle))
            return new.mid

        async def prepare() -> None:
            await self._room.find(new.gid, new.mpid, takes)

        goal = None if change.is_compact else new.place
        try:
            return await self._tasks.begin(
                caller, change.kind, old.gid, old.name, goal, work, lambda: self._frees(change), prepare
            )
        except BaseException:
            await whole(held.aclose())
            raise

    def _still_allowed(self, caller: Caller, change: Change) -> Check:
        old, new = change.old, change.new
        check_creates = still_creates(self._directory, self._assignments, caller, new)
        if change.kind != "move":
            return check_creates
        check_removes = still_holds(self._directory, caller.uid, Permission.MEDIA_REMOVE, old.gid)

        def check() -> None:
            check_removes()
            check_creates()
            self._check_attached(old, new)

        return check

    def _frees(self, change: Change) -> None:
        """Tell the plan what a cancellation would release."""
        if change.kind == "move":
            plan.consumes(change.new.gid, {"bytes": -change.new.size}, mpid=change.new.mpid)

    async def _keep(self, new: Medium, keep: Callable[[], None], settle: Check) -> None:
        """Commit and show it, in turn with deletions of groups, so that it is deleted with its present group."""
        async with self._updates.changing:
            for gid in (self._library.get(new.mid).gid, new.gid):
                self._directory.group(gid)
            settle()
            await self._store.update(new)
            keep()
            self._library.add(new)
