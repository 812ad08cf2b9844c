"""Changing a medium: its name, type, size, and whether it is read-only."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from uuid import UUID

from msgspec import UNSET

from velocity import plan, sizes
from velocity.access.lasting import check_admitted
from velocity.access.sessions import Caller
from velocity.contract.medium import AlterMedium
from velocity.contract.problems import Problem, Refused
from velocity.contract.revision import check
from velocity.media.assignments import Assignments
from velocity.media.attachments import AttachedVm, Attachments
from velocity.media.library import Library
from velocity.media.port import MediaStore
from velocity.media.reservations import Reservations
from velocity.media.rules import CALL_DEADLINE, Medium, described, grows_not, written_by_nobody
from velocity.media.sources import Sources
from velocity.media.states import PoolStates
from velocity.media.usage import DiskUsage
from velocity.storage.port import Blobs, Unknown

log = logging.getLogger(__name__)

AGAIN = 5.0
"""Seconds until the next attempt to grow a file."""
SECTOR = 512
FIELDS = ("name", "type", "size", "readonly")

GrowInRun = Callable[[Medium, int], Awaitable[None]]
"""Grows a medium's disk and file in the VM that runs with it. Raises `Refused`, and `Unknown`: it may still grow."""
Reclaim = Callable[[UUID], None]
"""Has the VMs with a medium claim it anew."""


class Alteration:
    """Changes media.

    A larger size is committed before the file grows: after a crash, `open` grows the file, which guests do not mind.
    The other way round, a guest could use space that nobody counts.
    """

    def __init__(
        self,
        store: MediaStore,
        blobs: Blobs,
        library: Library,
        attachments: Attachments,
        assignments: Assignments,
        states: PoolStates,
        sources: Sources,
        reservations: Reservations,
        usage: DiskUsage,
        reclaim: Reclaim,
        grow_in_run: GrowInRun,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._library = library
        self._attachments = attachments
        self._assignments = assignments
        self._states = states
        self._sources = sources
        self._reservations = reservations
        self._usage = usage
        self._reclaim = reclaim
        self._grow_in_run = grow_in_run
        self._finishing: asyncio.Task[None] | None = None

    async def alter(self, caller: Caller, request: AlterMedium) -> tuple[Medium, list[str], list[str]]:
        """The medium after the change, the fields that running VMs see only later, and warnings."""
        medium = self._library.get(request.mid)
        self._assignments.check_managed(caller, medium.gid, medium.mpid)
        if request.size is not UNSET:
            await self._states.check(medium.mpid)
            check_admitted()
        old = self._library.get(request.mid)
        check(request.revision, old.revision)
        new = self._wanted(old, request)
        changes = {field: (getattr(old, field), getattr(new, field)) for field in FIELDS}
        plan.step("change", "medium", old.name, id=old.mid, gid=old.gid, changes=changes)
        if all(has == gets for has, gets in changes.values()):
            return old, [], []
        runs = [one for one in self._attachments.attached_vms(old.mid) if one.writing or one.reading]
        with contextlib.ExitStack() as held:
            alone = (new.size, new.readonly, new.is_iso) != (old.size, old.readonly, old.is_iso)
            held.enter_context(self._sources.changing(old, "being changed", alone=alone and not runs))
            self._check_use(old, new, runs)
            keep = held.enter_context(self._reservations.change(old, new))
            waiting, warnings = _waiting(old, new, runs), await self._warnings(old, new)
            plan.warns(warnings)
            new, late = await self._carry_out(old, new, keep, in_run=bool(runs))
            if written_by_nobody(old) != written_by_nobody(new):
                self._reclaim(new.mid)
        await self._usage.measure([new])
        return new, waiting, [*warnings, *late]

    def _wanted(self, old: Medium, request: AlterMedium) -> Medium:
        """Raises `Refused` for a size that is not possible."""
        given = {field: value for field in FIELDS if (value := getattr(request, field)) is not UNSET}
        new = replace(old, **given)
        if new.size < old.size:
            raise Refused(
                Problem.MEDIUM_SIZE,
                f"medium {old.name!r} has {sizes.size(old.size)} and cannot shrink to {sizes.size(new.size)}: data at "
                "its end would be lost; create a smaller medium and copy to it inside a guest",
                field="size",
            )
        if new.size > old.size and (why := grows_not(old) or grows_not(new)):
            raise Refused(Problem.MEDIUM_SIZE, f"its size cannot change: {why}", field="size")
        if new.size > old.size and new.size % SECTOR:
            raise Refused(
                Problem.MEDIUM_SIZE,
                f"{new.size} bytes are not a whole number of sectors: use {-(-new.size // SECTOR) * SECTOR}",
                field="size",
            )
        return described(new, new.content)

    def _check_use(self, old: Medium, new: Medium, runs: list[AttachedVm]) -> None:
        """Raises `Refused` for changes that VMs using it do not allow."""
        mine = self._library.visible_name(old)
        if new.size != old.size and runs and not any(one.writing for one in runs):
            vm = self._attachments.visible_name(runs[0])
            words = f"{vm} only reads {mine}, and would not see it grow: stop it first"
            raise Refused(Problem.MEDIUM_IN_USE, words, field="size")
        was, becomes = written_by_nobody(old), written_by_nobody(new)
        field = "readonly" if new.readonly != old.readonly else "type"
        writer = next((one for one in runs if one.writing), None)
        if becomes and not was and writer is not None:
            vm = self._attachments.visible_name(writer)
            raise Refused(
                Problem.MEDIUM_IN_USE, f"{vm} is writing to {mine}: stop it first, then make it read-only", field=field
            )
        holders = self._attachments.attached_vms(old.mid)
        if was and not becomes and len(holders) > 1:
            names = " and ".join(self._attachments.visible_name(one) for one in holders[:2])
            raise Refused(
                Problem.MEDIUM_ATTACHED,
                f"{mine} is attached to {names}, and only one VM may write to a medium: detach it from the others",
                field=field,
            )

    async def _warnings(self, old: Medium, new: Medium) -> list[str]:
        if new.size == old.size:
            return []
        _, space = await self._states.space(old.mpid)
        growth = new.size - old.size
        if growth <= space.free:
            return []
        return [
            f"the pool has {sizes.size(space.free)} free, and the medium may now take {sizes.size(growth)} more: a VM "
            "that writes to it is paused when the pool is full"
        ]

    async def _carry_out(
        self, old: Medium, new: Medium, keep: Callable[[], None], *, in_run: bool
    ) -> tuple[Medium, list[str]]:
        """Commit, let the file grow, then show the change; returns warnings."""
        if new.size == old.size:
            await self._store.update(new)
            self._kept(new, keep)
            return new, []
        await self._store.update(replace(new, growing=True))
        try:
            await self._grow(new, in_run=in_run)
        except Unknown as unknown:
            self._kept(replace(new, growing=True), keep)
            self._finish_later()
            return new, [f"{unknown.message}; it grows as soon as the pool responds"]
        except Refused as refused:
            if await self._put_back(old):
                raise
            self._kept(replace(new, growing=True), keep)
            self._finish_later()
            return new, [f"{refused.message}; it grows as soon as it can, as its former size could not be recorded"]
        except BaseException:  # it is not known how far it came
            self._kept(replace(new, growing=True), keep)
            self._finish_later()
            raise
        self._kept(await self._grown(new), keep)
        return new, []

    async def _put_back(self, old: Medium) -> bool:
        """Store it as before it was to grow; returns whether it is stored so."""
        try:
            await self._store.update(old)
        except Refused as refused:
            log.warning("medium %s: that it does not grow cannot be noted now: %s", old.mid, refused.message)
            return False
        return True

    def _kept(self, medium: Medium, keep: Callable[[], None]) -> None:
        keep()
        self._library.add(medium)

    async def _grow(self, medium: Medium, *, in_run: bool) -> None:
        if in_run:
            await self._grow_in_run(medium, medium.size)
        else:
            self._sources.end_downloads([medium.mid], "{} has grown meanwhile: download it again")
            await self._blobs.grow(medium.ref, medium.size, deadline=CALL_DEADLINE)

    async def _grown(self, medium: Medium) -> Medium:
        """Grow its file to its size. If that fails now, it is repeated: growing once more does no harm."""
        try:
            await self._store.update(medium)
        except Exception as error:
            log.warning("medium %s: that its file has grown cannot be noted now, will retry: %s", medium.mid, error)
            self._finish_later()
            return replace(medium, growing=True)
        return medium

    # What a crash, or a pool that did not respond, has left

    def open(self) -> None:
        """Grow the files that are smaller than their media."""
        if any(medium.growing for medium in self._library.all()):
            self._finish_later()

    async def close(self) -> None:
        if self._finishing is not None:
            self._finishing.cancel()
            await asyncio.wait({self._finishing})

    def _finish_later(self) -> None:
        if self._finishing is None or self._finishing.done():
            self._finishing = asyncio.create_task(self._finish())

    async def _finish(self) -> None:
        while growing := [medium.mid for medium in self._library.all() if medium.growing]:
            for mid in growing:
                try:
                    await self._finish_one(mid)
                except Refused as refused:
                    log.info("medium %s has not grown yet: %s", mid, refused.message)
                except Exception:  # a fault of ours costs no other medium its size, and is tried again
                    log.exception("medium %s could not grow", mid)
            if any(medium.growing for medium in self._library.all()):
                await asyncio.sleep(AGAIN)

    async def _finish_one(self, mid: UUID) -> None:
        """Raises `Refused` if it has to be repeated, or the medium is gone."""
        await self._states.check(self._library.get(mid).mpid)
        medium = self._library.get(mid)  # it may have been changed meanwhile
        if not medium.growing:
            return
        runs = [one for one in self._attachments.attached_vms(medium.mid) if one.writing or one.reading]
        with self._sources.changing(medium, "being changed", alone=not runs):
            await self._grow(medium, in_run=bool(runs))
            self._library.add(await self._grown(replace(medium, growing=False)))


def _waiting(old: Medium, new: Medium, runs: list[AttachedVm]) -> list[str]:
    """The fields that a running VM sees only later."""
    return [field for field in ("type", "readonly") if runs and getattr(old, field) != getattr(new, field)]
