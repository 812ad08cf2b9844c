"""The use cases of media. Decisions come from memory; names and quota are reserved before anything is written."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
from msgspec import UNSET

from velocity.access.rules import ROOT_GROUP
from velocity.access.service import Access, Caller
from velocity.contract.media import Content, CreateMedium, UploadMedium
from velocity.contract.operation import On
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.port import HypervisorError, MediaRef
from velocity.media import rules
from velocity.media.files import Incoming, PoolFiles
from velocity.media.inspect import inspect
from velocity.media.port import MediaStore
from velocity.media.rules import Assignment, Medium, Pool


@dataclass(frozen=True)
class PoolUse:
    """A pool as a group sees it; `used` and `free` in bytes."""

    pool: Pool
    assignment: Assignment
    used: int
    free: int


class Library:
    """The pools of the host and the media in them."""

    def __init__(self, store: MediaStore, access: Access, pools: Mapping[Pool, Path]) -> None:
        self._store = store
        self._access = access
        self._pools = {pool.mpid: pool for pool in pools}
        self._files = {pool.mpid: PoolFiles(path) for pool, path in pools.items()}
        self._assignments: dict[tuple[int, int], Assignment] = {}
        self._media: dict[UUID, Medium] = {}
        self._reserved: dict[UUID, Medium] = {}
        self._holders: Callable[[UUID], str | None] = lambda _: None
        access.owns(On.MEDIUM, self._group_of)

    def open(self) -> None:
        self._media = {medium.mid: medium for medium in self._store.load()}
        for mpid, files in self._files.items():
            files.open({_file(medium) for medium in self._media.values() if medium.mpid == mpid})

    def held_by(self, holders: Callable[[UUID], str | None]) -> None:
        """Tell how to find out which machine a medium is attached to."""
        self._holders = holders

    # Reading

    def get(self, mid: UUID) -> Medium:
        try:
            return self._media[mid]
        except KeyError:
            raise Refused(Problem.MEDIUM_NOT_FOUND, f"there is no medium {mid}", field="mid") from None

    def of_group(self, gid: int) -> list[Medium]:
        self._access.group(gid)
        return sorted((medium for medium in self._media.values() if medium.gid == gid), key=lambda one: one.name)

    def visible(self, caller: Caller, gid: int, mid: UUID) -> Medium:
        """The medium, if the group may attach it: its own, an ancestor's, or one that the caller may list."""
        medium = self._media.get(mid)
        if medium is not None and (
            medium.gid in self._access.line(gid) or self._access.holds(caller.uid, Permission.MEDIA_LIST, medium.gid)
        ):
            return medium
        raise Refused(Problem.MEDIUM_NOT_FOUND, f"there is no medium {mid} that group {gid} may attach", field="media")

    def readonly(self, medium: Medium) -> bool:
        """Whether writing is blocked: by the medium, or because its group lacks `write` on the pool."""
        assignment = self._assignment(medium.gid, medium.mpid)
        return medium.readonly or assignment is None or not assignment.write

    def pools(self, gid: int) -> list[PoolUse]:
        """The pools that the group sees."""
        self._access.group(gid)
        seen = ((pool, self._assignment(gid, mpid)) for mpid, pool in sorted(self._pools.items()))
        return [
            PoolUse(
                pool,
                assignment,
                rules.declared(self._media.values(), gid, pool.mpid),
                self._files[pool.mpid].free(),
            )
            for pool, assignment in seen
            if assignment is not None
        ]

    def path(self, media: MediaRef) -> Path:
        """Keeps `velocity.hypervisor.port.MediaFiles`."""
        medium = self._media.get(media.medium)
        if medium is None or medium.mpid not in self._files:
            raise HypervisorError(f"medium {media.medium} is not there: its pool is no longer declared")
        return self._files[medium.mpid].path(_file(medium))

    def _group_of(self, mid: object) -> int | None:
        medium = self._media.get(mid) if isinstance(mid, UUID) else None
        return None if medium is None else medium.gid

    def _assignment(self, gid: int, mpid: int) -> Assignment | None:
        return rules.assigned(self._assignments, self._access.line(gid), mpid)

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
        files = self._may_manage(caller, medium)
        with self._reservation(medium):
            await asyncio.to_thread(files.create, _file(medium), medium.size, medium.format)
            await self.keep(files, medium)
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
        files = self._may_manage(caller, medium)
        if medium.size > files.free():
            raise Refused(
                Problem.POOL_QUOTA,
                f"the pool has {files.free()} bytes free, this needs {medium.size}: remove media or use another pool",
            )
        with self._reservation(medium):
            incoming = Incoming(files, _file(medium))
            upload = Upload(self, medium, files, incoming, request)
            try:
                yield upload
            finally:
                incoming.close()
                if not upload.kept:
                    await asyncio.to_thread(files.drop, _file(medium))

    async def delete(self, mid: UUID) -> None:
        medium = self.get(mid)
        holder = self._holders(mid)
        if holder is not None:
            raise Refused(
                Problem.MEDIUM_ATTACHED, f"the medium is attached to VM {holder}: remove that VM first", field="mid"
            )
        files = self._files.get(medium.mpid)
        if files is None:
            raise Refused(Problem.MEDIUM_NOT_FOUND, "the medium's pool is no longer declared", field="mid")
        del self._media[mid]  # from here on nobody can attach it
        try:
            await asyncio.to_thread(files.lift, _file(medium))
            await self._store.remove(mid)
        except BaseException:
            self._media[mid] = medium
            with contextlib.suppress(OSError):
                files.settle(_file(medium))
            raise
        await asyncio.to_thread(files.drop, _file(medium))

    def _may_manage(self, caller: Caller, medium: Medium) -> PoolFiles:
        self._access.group(medium.gid)
        if medium.mpid not in self._pools and self._access.holds(caller.uid, Permission.MEDIA_CREATE, ROOT_GROUP):
            raise Refused(
                Problem.POOL_NOT_FOUND, f"there is no media pool {medium.mpid}: see POST /m/pool/list", field="mpid"
            )
        assignment = self._assignment(medium.gid, medium.mpid)
        if assignment is None or not assignment.manage:
            raise Refused(
                Problem.POOL_NOT_MANAGED,
                f"group {medium.gid} may not manage media in pool {medium.mpid}: ask for the pool to be assigned to it",
                field="mpid",
            )
        return self._files[medium.mpid]

    @contextlib.contextmanager
    def _reservation(self, medium: Medium) -> Iterator[None]:
        """The name and the bytes are taken from here on; given back unless the medium has come to be."""
        everyone = [*self._media.values(), *self._reserved.values()]
        assignment = self._assignment(medium.gid, medium.mpid)
        quota = assignment.quota if assignment else 0
        used = rules.declared(everyone, medium.gid, medium.mpid)
        if quota and used + medium.size > quota:
            raise Refused(
                Problem.POOL_QUOTA,
                f"the group's quota in this pool is {quota} bytes, {used} of them used: remove media or ask for more",
                field="size",
            )
        if any((one.gid, one.mpid, one.name) == (medium.gid, medium.mpid, medium.name) for one in everyone):
            raise Refused(
                Problem.MEDIUM_NAME_TAKEN,
                f"the group has a medium named {medium.name!r} in this pool: choose another name",
                field="name",
            )
        self._reserved[medium.mid] = medium
        try:
            yield
        finally:
            del self._reserved[medium.mid]

    async def keep(self, files: PoolFiles, medium: Medium) -> None:
        """Commit, then show. The file waits in `.moving` and is dropped when the commit fails."""
        try:
            await self._store.add(medium)
        except Exception:
            await asyncio.to_thread(files.drop, _file(medium))
            raise
        self._media[medium.mid] = medium
        await asyncio.to_thread(files.settle, _file(medium))


class Upload:
    """One upload under way, as `Library.receive` gives it."""

    def __init__(
        self, library: Library, medium: Medium, files: PoolFiles, incoming: Incoming, request: UploadMedium
    ) -> None:
        self._library = library
        self._medium = medium
        self._files = files
        self._incoming = incoming
        self._promised = request.length
        self._wanted = request.sha256
        self.kept = False
        self._sum = hashlib.sha256() if self._wanted is not UNSET else None

    async def write(self, piece: bytes) -> None:
        """Raises `Refused(MORE_THAN_PROMISED)`, and `Refused(POOL_QUOTA)` when the disk is full."""
        if self._incoming.size + len(piece) > self._promised:
            raise Refused(Problem.MORE_THAN_PROMISED, f"more than the promised {self._promised} bytes have come")
        if self._sum is not None:
            self._sum.update(piece)
        if self._incoming.add(piece):
            if self._incoming.slow:
                await asyncio.to_thread(self._incoming.flush)
            else:
                self._incoming.flush()

    async def finish(self) -> Medium:
        """The medium, durable. Raises `Refused(NO_LENGTH)` when bytes are missing, `Refused(WRONG_CHECKSUM)`."""
        if self._incoming.size != self._promised:
            raise Refused(
                Problem.NO_LENGTH,
                f"{self._promised} bytes were promised, {self._incoming.size} have come: send the file again",
            )
        if self._sum is not None and self._sum.hexdigest() != str(self._wanted).lower():
            raise Refused(
                Problem.WRONG_CHECKSUM,
                f"the bytes have the SHA-256 {self._sum.hexdigest()}, not the promised one: send the file again",
            )
        await asyncio.to_thread(self._incoming.sync)
        content = await asyncio.to_thread(inspect, self._files.moving(_file(self._medium)))
        medium = _described(self._medium, content)
        self.kept = True  # from here on the database decides
        await self._library.keep(self._files, medium)
        return medium


def _described(medium: Medium, content: Content) -> Medium:
    medium = replace(medium, content=content)
    warning = rules.boot_warning(medium)
    return replace(medium, content=msgspec.structs.replace(content, warning=warning)) if warning else medium


def _file(medium: Medium) -> str:
    return f"{medium.mid}.{medium.format}"
