"""Deletes media, alone or with their group: they leave the library, then the store."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Sequence
from functools import partial
from uuid import UUID

from velocity import plan
from velocity.access.lasting import check_admitted
from velocity.access.rules import Discarded
from velocity.access.sessions import Caller
from velocity.access.updates import DirectoryWriter
from velocity.contract.media import DeleteMedium
from velocity.contract.problems import Problem, Refused
from velocity.contract.revision import check
from velocity.media.assignments import Assignments
from velocity.media.attachments import Attachments
from velocity.media.library import Library
from velocity.media.port import MediaStore
from velocity.media.quotas import PoolQuotas
from velocity.media.reservations import Reservations
from velocity.media.room import Room
from velocity.media.rules import CALL_DEADLINE, Medium
from velocity.media.sources import Sources
from velocity.media.states import PoolStates
from velocity.media.usage import DiskUsage
from velocity.storage.port import Belongs, Trash


class PendingMediaDeletion:
    """Media that are being deleted: nobody can use them, and their files are hidden."""

    def __init__(
        self,
        trash: Trash,
        library: Library,
        assignments: Assignments,
        quotas: PoolQuotas,
        reservations: Reservations,
        usage: DiskUsage,
        room: Room,
        media: Sequence[Medium],
        gids: Collection[int],
    ) -> None:
        self._trash = trash
        self._library = library
        self._assignments = assignments
        self._quotas = quotas
        self._reservations = reservations
        self._usage = usage
        self._room = room
        self._media = media
        self._gids = gids
        self.size = sum(medium.size for medium in media)
        self.ended = ""

    async def restore(self) -> None:
        for medium in self._media:
            await self._settle(medium, Belongs.KEPT)
            self._library.add(medium)

    def committed(self) -> None:
        for medium in self._media:
            self._usage.forget(medium.mid)
            self._reservations.free(medium)
        if self._gids:
            self._assignments.forget(self._gids)
            self._quotas.forget(self._gids)

    async def finish(self, *, purge: bool) -> None:
        for medium in self._media:
            await self._settle(medium, Belongs.NOWHERE if purge else Belongs.TRASH)
        if not purge:
            with contextlib.suppress(Refused, OSError):  # they are deleted, whether or not room can be made
                await self._room.limit_trash({(medium.gid, medium.mpid) for medium in self._media})

    async def _settle(self, medium: Medium, belongs: Belongs) -> None:
        await self._trash.settle(medium.ref, belongs, deadline=CALL_DEADLINE)


class Deletion:
    """Deletes media: into the trash, or permanently."""

    def __init__(
        self,
        store: MediaStore,
        trash: Trash,
        updates: DirectoryWriter,
        library: Library,
        attachments: Attachments,
        assignments: Assignments,
        quotas: PoolQuotas,
        reservations: Reservations,
        states: PoolStates,
        sources: Sources,
        usage: DiskUsage,
        room: Room,
    ) -> None:
        self._store = store
        self._trash = trash
        self._updates = updates
        self._library = library
        self._attachments = attachments
        self._sources = sources
        self._states = states
        self._withdrawn = partial(PendingMediaDeletion, trash, library, assignments, quotas, reservations, usage, room)

    async def delete(self, caller: Caller, request: DeleteMedium, *, purge: bool) -> None:
        """Delete one medium."""
        mid = request.mid
        await self._states.check(self._library.get(mid).mpid)
        check_admitted()
        medium = self._library.get(mid)
        holders = self._attachments.attached_vms(mid)
        if holders:
            raise Refused(
                Problem.MEDIUM_ATTACHED,
                f"the medium is attached to {self._attachments.visible_name(holders[0])}: detach it there, or remove "
                "that VM first",
                field="mid",
            )
        self._sources.check_unchanged(medium)
        check(request.revision, medium.revision)
        plan_to_remove(medium, purge=purge)
        plan.stop_here()
        with self._updates.under_way.of(medium.gid):
            deletion = await self.withdraw([medium])
            try:
                discarded = Discarded("medium", str(mid), medium.gid, medium.name, caller.uid, medium.size)
                await self._store.remove(mid, None if purge else discarded)
            except BaseException:
                await deletion.restore()
                raise
            deletion.committed()
        if not purge:
            self._updates.discarded("medium", medium.gid)
        await deletion.finish(purge=purge)

    def examine(self, gids: Collection[int], *, force: bool, purge: bool) -> None:
        """Implements `velocity.access.port.GroupContents`: no medium of the groups is attached elsewhere."""
        for medium in self._library.of_groups(gids):
            for holder in self._attachments.attached_vms(medium.mid):
                if holder.gid not in gids:
                    mine, vm = self._library.visible_name(medium), self._attachments.visible_name(holder)
                    raise Refused(
                        Problem.GROUP_MEDIUM_ATTACHED,
                        f"{mine} is attached to {vm}, whose group is not being deleted: detach it there first",
                    )
            if does := self._sources.change_of(medium.mid):
                mine = self._library.visible_name(medium)
                raise Refused(Problem.GROUP_BUSY, f"{mine} is {does}: wait until that has ended", field="gid")
            self._states.check_last(medium.mpid)
            plan_to_remove(medium, purge=purge)

    async def begin_deletion(self, gids: Collection[int], *, force: bool) -> PendingMediaDeletion:
        """Implements `velocity.access.port.GroupContents`: deletes the media of these groups."""
        for mpid in {medium.mpid for medium in self._library.of_groups(gids)}:
            await self._states.check(mpid)
        await self._updates.under_way.ended(gids)
        self.examine(gids, force=force, purge=False)  # again, as attachments may have changed meanwhile
        return await self.withdraw(self._library.of_groups(gids), gids)

    async def disks(self, vmid: int, media: Callable[[], Collection[UUID]]) -> list[Medium]:
        """The disks that are deleted with a VM, among `media`, at this moment. Raises `Refused`."""
        for mpid in {self._library.get(mid).mpid for mid in media()}:
            await self._states.check(mpid)
        check_admitted()
        found = [self._library.get(mid) for mid in media()]
        for medium in found:
            for holder in self._attachments.attached_vms(medium.mid):
                if holder.vmid != vmid:
                    mine, vm = self._library.visible_name(medium), self._attachments.visible_name(holder)
                    raise Refused(
                        Problem.MEDIUM_ATTACHED,
                        f"{mine} is attached to {vm} too: detach it there first, or let it remain (`leave`)",
                        field="disks",
                    )
            if does := self._sources.change_of(medium.mid):
                mine = self._library.visible_name(medium)
                raise Refused(Problem.MEDIUM_ATTACHED, f"{mine} is {does}: wait until that has ended", field="disks")
            self._states.check_last(medium.mpid)
        return found

    async def withdraw(self, media: Sequence[Medium], gids: Collection[int] = ()) -> PendingMediaDeletion:
        """Take them out of use, to be deleted with these groups. Raises `Refused`, and has then changed nothing."""
        for medium in media:
            self._library.remove(medium)  # from here on, nobody can attach it
        deletion = self._withdrawn(media, gids)
        try:
            for medium in media:
                if self._states.has(medium.mpid):
                    await self._trash.lift(medium.ref, deadline=CALL_DEADLINE)
        except BaseException:
            await deletion.restore()
            raise
        return deletion


def plan_to_remove(medium: Medium, *, purge: bool) -> None:
    plan.step("purge" if purge else "delete", "medium", medium.name, id=medium.mid, gid=medium.gid)
    plan.consumes(medium.gid, {"bytes": -medium.size}, mpid=medium.mpid)
