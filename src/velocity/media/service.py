"""The use cases of media. Decisions come from memory; names and quota are reserved before anything is written."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from velocity import plan
from velocity.access.rules import Discarded
from velocity.access.service import Access
from velocity.access.sessions import Caller
from velocity.contract.media import Content, CreateMedium, DeleteMedium, UploadMedium
from velocity.contract.operation import On
from velocity.contract.permissions import Permission
from velocity.contract.plan import Do
from velocity.contract.problems import OutcomeUnknown, Problem, Refused
from velocity.contract.revision import check
from velocity.media.pools import Pools, Reservation
from velocity.media.port import MediaStore
from velocity.media.room import Room
from velocity.media.rules import CALL_DEADLINE, Medium, Pool
from velocity.media.sources import Sources
from velocity.media.upload import Upload
from velocity.media.withdrawn import WithdrawnMedia
from velocity.storage.port import Belongs, MediaRef, Storage
from velocity.uninterrupted import whole


@dataclass(frozen=True)
class Holder:
    """A machine that a medium is attached to; `writing` says that it runs and may write.

    Without a vmid it is not there yet, or no more.
    """

    gid: int
    name: str
    writing: bool
    vmid: int | None


class Library:
    """The media of the host."""

    def __init__(self, store: MediaStore, access: Access, pools: Sequence[Pool], storage: Storage) -> None:
        self._store = store
        self._access = access
        self.storage = storage
        self.pools = Pools(store, access, pools, storage)
        self.room = Room(self.pools, storage)
        self.sources = Sources(self)
        self._media: dict[UUID, Medium] = {}
        self._names: set[tuple[int, int, str]] = set()
        self._reserved: set[UUID] = set()
        self._returning: dict[UUID, Medium] = {}
        self._takes: dict[UUID, int] = {}
        self._holders: Callable[[UUID], Sequence[Holder]] = lambda _: ()
        access.owns(On.MEDIUM, self._group_of)
        access.groups.belongings(self)

    async def open(self) -> None:
        self.pools.load()
        for medium in self._store.load():
            self._media[medium.mid] = medium
            self._names.add(_key(medium))
            self.pools.count(self._access.line(medium.gid), medium.mpid, medium.size)
        await self.pools.states.open(self._known_objects)

    def _known_objects(self, mpid: int) -> tuple[tuple[MediaRef, ...], tuple[MediaRef, ...]]:
        """Those that are kept in a pool, and those of its trash. In a thread."""
        known, discarded = list(self._media.values()), self._store.load_discarded()
        return (tuple(one.ref for one in known if one.mpid == mpid),
                tuple(one.ref for one in discarded if one.mpid == mpid))  # fmt: skip

    def held_by(self, holders: Callable[[UUID], Sequence[Holder]]) -> None:
        """Tell how to find out which machines a medium is attached to."""
        self._holders = holders

    # Reading

    def get(self, mid: UUID) -> Medium:
        try:
            return self._media[mid]
        except KeyError:
            raise Refused(Problem.MEDIUM_NOT_FOUND, f"there is no medium {mid}", field="mid") from None

    def known(self, mid: UUID) -> Medium:
        """One that is there, or just coming back from the trash."""
        return self._returning.get(mid) or self.get(mid)

    def all(self) -> list[Medium]:
        return list(self._media.values())

    def taken(self) -> tuple[frozenset[tuple[int, int, str]], frozenset[UUID]]:
        """The names that are taken, as (gid, mpid, name), and the media that are about to be, or to come back."""
        return frozenset(self._names), frozenset({*self._reserved, *self._returning})

    def of_group(self, gid: int) -> list[Medium]:
        self._access.group(gid)
        return sorted((medium for medium in self._media.values() if medium.gid == gid), key=lambda one: one.name)

    def find(self, mid: object) -> Medium | None:
        return self._media.get(mid) if isinstance(mid, UUID) else None

    def holders(self, mid: UUID) -> Sequence[Holder]:
        """The machines that it is attached to."""
        return self._holders(mid)

    def check_declared(self, medium: Medium) -> None:
        """Raises `Refused` when its pool is no longer declared."""
        if not self.pools.has(medium.mpid):
            raise Refused(Problem.MEDIUM_NOT_FOUND, "the medium's pool is no longer declared", field="mid")

    async def allocated(self, media: Sequence[Medium]) -> dict[UUID, int]:
        """Bytes that media take on the disk."""
        found = dict.fromkeys((medium.mid for medium in media), 0)
        for mpid in {medium.mpid for medium in media if self.pools.has(medium.mpid)}:
            refs = tuple(medium.ref for medium in media if medium.mpid == mpid)
            with contextlib.suppress(Refused):
                stats = await self.storage.blobs.stat(mpid, refs, deadline=CALL_DEADLINE)
                found |= {ref.medium: one.allocated for ref, one in zip(refs, stats, strict=True) if one is not None}
        for mid, size in found.items():
            if mid in self._media and self._takes.get(mid) != size:
                self._takes[mid] = size
                self.touched(mid)
        return found

    def takes(self, mid: UUID) -> int:
        """Bytes that it was last found to take on the disk."""
        return self._takes.get(mid, 0)

    def touched(self, mid: UUID) -> None:
        """Tell that a medium shows otherwise now."""
        if mid in self._media:
            self._access.changes.tell("medium", mid, self._media[mid].gid)

    def visible(self, caller: Caller, gid: int, mid: UUID, *, field: str = "media") -> Medium:
        """The medium, if the group may attach it: its own, an ancestor's, or one that the caller may list."""
        medium = self._media.get(mid)
        if medium is not None and (
            medium.gid in self._access.line(gid) or self._access.holds(caller.uid, Permission.MEDIA_LIST, medium.gid)
        ):
            return medium
        raise Refused(Problem.MEDIUM_NOT_FOUND, f"there is no medium {mid} that group {gid} may attach", field=field)

    def readonly(self, medium: Medium) -> bool:
        """Whether writing is blocked: by the medium, or because its group lacks `write` on the pool."""
        assignment = self.pools.assignment(medium.gid, medium.mpid)
        return medium.readonly or assignment is None or not assignment.write

    def _group_of(self, mid: object) -> int | None:
        medium = self._media.get(mid) if isinstance(mid, UUID) else None
        return None if medium is None else medium.gid

    # Changing

    async def create(self, caller: Caller, request: CreateMedium) -> Medium:
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
        self.pools.check_managed(caller, medium.gid, medium.mpid)
        with self.reservation(medium):
            await self.pools.states.check(medium.mpid)
            _plan_to("create", medium)
            plan.ends()
            await self.storage.blobs.create(medium.ref, medium.size, deadline=CALL_DEADLINE)
            await self.keep(medium)
        return medium

    @contextlib.asynccontextmanager
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
        self.pools.check_managed(caller, medium.gid, medium.mpid)
        with self.reservation(medium):
            await self.pools.states.check(medium.mpid)
            await self.room.find(medium.mpid, medium.size)
            self._access.group(medium.gid)  # it may have been deleted meanwhile
            _plan_to("create", medium)
            plan.ends()
            incoming = await self.storage.blobs.put(medium.ref, deadline=CALL_DEADLINE)
            try:
                yield Upload(medium, incoming, request, self.keep)
            finally:
                await whole(incoming.close())

    async def delete(self, caller: Caller, request: DeleteMedium, *, purge: bool) -> None:
        """Into the trash, or for good."""
        mid = request.mid
        await self.pools.states.check(self.get(mid).mpid)
        medium = self.get(mid)
        holders = self._holders(mid)
        if holders:
            raise Refused(
                Problem.MEDIUM_ATTACHED,
                f"the medium is attached to VM {holders[0].name!r}: detach it there, or remove that VM first",
                field="mid",
            )
        self.check_declared(medium)
        check(request.revision, medium.revision)
        self._plan_to_remove(medium, purge=purge)
        plan.ends()
        withdrawn = await self._withdraw([medium])
        try:
            discarded = Discarded("medium", str(mid), medium.gid, medium.name, caller.uid, medium.size)
            await self._store.remove(mid, None if purge else discarded)
        except BaseException:
            await withdrawn.restore()
            raise
        withdrawn.committed()
        if not purge:
            self._access.updates.discarded("medium", medium.gid)
        await withdrawn.finish(purge=purge)

    def _plan_to_remove(self, medium: Medium, *, purge: bool) -> None:
        _plan_to("purge" if purge else "delete", medium)
        plan.consumes(medium.gid, {"bytes": -medium.size}, mpid=medium.mpid)

    def examine(self, gids: Collection[int], *, force: bool, purge: bool) -> None:
        """Keeps `velocity.access.port.Belongings`: no medium of the groups is attached elsewhere."""
        for medium in self._of_groups(gids):
            for holder in self._holders(medium.mid):
                if holder.gid not in gids:
                    raise Refused(
                        Problem.GROUP_MEDIUM_ATTACHED,
                        f"medium {medium.name!r} is attached to VM {holder.name!r} of a group that remains: "
                        "detach it there first",
                    )
            self.pools.states.check_last(medium.mpid)
            self._plan_to_remove(medium, purge=purge)

    async def withdraw(self, gids: Collection[int], *, force: bool) -> WithdrawnMedia:
        """Keeps `velocity.access.port.Belongings`: the media of groups that are being deleted."""
        for mpid in {medium.mpid for medium in self._of_groups(gids)}:
            await self.pools.states.check(mpid)
        self.examine(gids, force=force, purge=False)  # again: what is attached may have changed meanwhile
        return await self._withdraw(self._of_groups(gids), gids)

    def _of_groups(self, gids: Collection[int]) -> list[Medium]:
        return [medium for medium in self._media.values() if medium.gid in gids]

    async def _withdraw(self, media: Sequence[Medium], gids: Collection[int] = ()) -> WithdrawnMedia:
        for medium in media:
            del self._media[medium.mid]  # from here on nobody can attach it
            self._access.changes.tell("medium", medium.mid, medium.gid)
        withdrawn = WithdrawnMedia(self, media, gids)
        try:
            for medium in media:
                if self.pools.has(medium.mpid):
                    await self.storage.trash.lift(medium.ref, deadline=CALL_DEADLINE)
        except BaseException:
            await withdrawn.restore()
            raise
        return withdrawn

    @contextlib.asynccontextmanager
    async def returning(self, media: Sequence[Medium]) -> AsyncIterator[None]:
        """Media that come back from the trash, with their names and quota. What raises inside undoes it."""
        async with contextlib.AsyncExitStack() as held, contextlib.AsyncExitStack() as undo:
            for medium in media:
                held.enter_context(self.reservation(medium))
                self._returning[medium.mid] = medium
                held.callback(self._returning.pop, medium.mid)
                if not self.pools.has(medium.mpid):
                    raise Refused(
                        Problem.POOL_NOT_FOUND, f"pool {medium.mpid} of {medium.name!r} is no longer declared"
                    )
                await self.pools.states.check(medium.mpid)
                if plan.wanted():
                    _plan_to("restore", medium)
                    continue
                await self.storage.trash.restore(medium.ref, deadline=CALL_DEADLINE)
                undo.push_async_callback(self.settle, medium, Belongs.TRASH)
            yield
            undo.pop_all()  # it is committed
            for medium in media:
                self._reserved.discard(medium.mid)
                self.back(medium)
                await self.settle(medium, Belongs.KEPT)
            await self.allocated(media)

    async def settle(self, medium: Medium, belongs: Belongs) -> None:
        """It belongs there, now that the database says so. Never fails."""
        await self.storage.trash.settle(medium.ref, belongs, deadline=CALL_DEADLINE)

    def back(self, medium: Medium) -> None:
        """Show a medium (again)."""
        self._media[medium.mid] = medium
        self.touched(medium.mid)

    def gone(self, medium: Medium) -> None:
        """A withdrawn medium is no more: its name and its bytes are free."""
        self._takes.pop(medium.mid, None)
        self._names.discard(_key(medium))
        self.pools.count(self._access.line(medium.gid), medium.mpid, -medium.size)

    @contextlib.contextmanager
    def reservation(self, medium: Medium) -> Iterator[Reservation]:
        """The name and the bytes are taken from here on; given back unless the medium has come to be."""
        reservation = Reservation(self.pools, self._access.line(medium.gid), medium.mpid)
        reservation.take(medium.size)
        if _key(medium) in self._names:
            reservation.fit(0)
            raise Refused(
                Problem.MEDIUM_NAME_TAKEN,
                f"the group has a medium named {medium.name!r} in this pool: choose another name",
                field="name",
            )
        self._names.add(_key(medium))
        self._reserved.add(medium.mid)
        try:
            yield reservation
        finally:
            if medium.mid in self._reserved:
                self._reserved.remove(medium.mid)
                self._names.discard(_key(medium))
                reservation.fit(0)

    async def keep(self, medium: Medium) -> None:
        """Commit, then show. Its object waits out of sight, and goes when it is known that nothing was committed.

        After the commit nothing is undone or told as failed.
        """
        try:
            await self._store.add(medium)
        except OutcomeUnknown:
            raise  # the next start asks the database
        except Exception:
            await self.settle(medium, Belongs.NOWHERE)
            self._access.group(medium.gid)  # deleted meanwhile: then that is what went wrong
            raise
        try:
            self._access.group(medium.gid)
        except Refused:  # it is being deleted, and this medium came too late to be withdrawn with it
            await self._store.remove(medium.mid)
            await self.settle(medium, Belongs.NOWHERE)
            raise
        self._reserved.discard(medium.mid)
        self.back(medium)
        await self.settle(medium, Belongs.KEPT)
        await self.allocated([medium])


def _plan_to(do: Do, medium: Medium) -> None:
    given = None if do == "create" else medium.mid
    plan.step(do, "medium", medium.name, id=given, gid=medium.gid)


def _key(medium: Medium) -> tuple[int, int, str]:
    return medium.gid, medium.mpid, medium.name
