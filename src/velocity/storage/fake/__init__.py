"""Storage in memory: the whole port, for tests and for servers without disks, with faults to inject."""

from __future__ import annotations

import errno
import os
import struct
from dataclasses import dataclass

from velocity.contract.media import Content
from velocity.contract.problems import Problem, Refused
from velocity.storage.fake.jobs import FakeJobs
from velocity.storage.fake.pools import (
    AGAIN,
    BLOCK,
    FakeContent,
    FakeDevice,
    FakeHost,
    FakePool,
    FakeShared,
    begin_anew,
)
from velocity.storage.inspect import describe
from velocity.storage.port import (
    ONLINE,
    Belongs,
    Incoming,
    MediaRef,
    Outgoing,
    PoolMark,
    PoolState,
    Space,
    Stat,
    Storage,
    Unknown,
)

SECONDS = 60.0
"""The deadline for calls without one."""


@dataclass(frozen=True)
class FakeStorage(Storage):
    """One server's view of a host's storage. `line` can be cut."""

    line: FakeDevice


def connect(host: FakeHost, again: float = AGAIN) -> FakeStorage:
    line = FakeDevice(host, again)
    return FakeStorage(
        pools=FakePools(line),
        blobs=FakeBlobs(line),
        trash=FakeTrash(line),
        jobs=FakeJobs(line),
        files=NoFiles(),
        line=line,
    )


class NoFiles:
    """Implements `velocity.storage.port.MediaFiles` without files."""

    def open(self, media: MediaRef, *, readonly: bool, coming: bool = False) -> int:
        raise Refused(Problem.POOL_AWAY, "storage in memory has no files")

    def direct_lacks(self, media: MediaRef, descriptor: int, *, readonly: bool) -> str:
        return "storage in memory has no files"

    def is_shared(self, media: MediaRef) -> bool:
        return False

    def provide(self, ref: MediaRef, template: int) -> None:
        return None

    def remove(self, ref: MediaRef) -> None:
        return None


class FakePools:
    """Implements `velocity.storage.port.Pools`."""

    def __init__(self, line: FakeDevice) -> None:
        self._line = line
        self._last = dict.fromkeys(line.host.pools, ONLINE)

    async def state(self, pool: int, *, deadline: float) -> PoolState | None:
        self._line.check_answers(pool)
        try:
            now = await self._line.call(pool, deadline, self._now, writes=False)
        except Refused as refused:
            now = self._refused(pool, refused)
        self._last[pool] = now or self._last[pool]
        return now

    async def open(
        self,
        pool: int,
        kept: tuple[MediaRef, ...],
        trashed: tuple[MediaRef, ...],
        coming: tuple[MediaRef, ...],
        *,
        tidy: bool = True,
        term: int = 0,
        deadline: float,
    ) -> PoolState:
        def put_in_order(one: FakePool) -> PoolState:
            if one.state == "online" and pool not in self._line.opened:
                one.take(first=tidy, term=term)
                if tidy:
                    one.put_in_order(set(kept), set(trashed), set(coming))
                self._line.opened.add(pool)
            return one.now

        self._line.check_answers(pool)
        try:
            return await self._line.call(pool, deadline, put_in_order, writes=False)
        except Refused as refused:
            return self._refused(pool, refused)

    async def mark(self, pool: int, expected: str, *, deadline: float) -> PoolMark:
        self._line.check_answers(pool)
        try:
            return await self._line.call(pool, deadline, lambda one: one.mark(expected), writes=False)
        except Unknown:
            raise
        except Refused:
            return PoolMark()

    def _now(self, pool: FakePool) -> PoolState | None:
        return pool.now if pool.mpid in self._line.opened or pool.state != "online" else None

    def _refused(self, pool: int, refused: Refused) -> PoolState:
        """The state for an error: failing disks are away; errors of the host say nothing about the pool."""
        if isinstance(refused, Unknown):
            raise refused
        if refused.problem is Problem.UNAVAILABLE:
            return self._last[pool]
        return PoolState("away", self._line.pool(pool).now.message or refused.message)

    async def space(self, pool: int, *, deadline: float) -> Space:
        self._line.check_answers(pool)
        return await self._line.call(pool, deadline, FakePool.space, writes=False)

    async def blocklist(
        self, pool: int, addresses: tuple[str, ...], refs: tuple[MediaRef, ...], *, deadline: float
    ) -> tuple[str, ...]:
        return await self._line.call(pool, deadline, lambda one: _shared(one).blocklist(addresses, refs))

    async def take_off_blocklist(self, pool: int, addresses: tuple[str, ...], *, deadline: float) -> None:
        await self._line.call(pool, deadline, lambda one: _shared(one).take_off_blocklist(addresses))

    async def give_up(self, pool: int, *, deadline: float) -> None:
        self._line.check_answers(pool)
        one = self._line.pool(pool)
        if one.holds:
            raise Refused(Problem.POOL_AWAY, "what was written is on its way still")
        one.given_up += 1

    async def close(self) -> None:
        await self._line.close()


def _shared(pool: FakePool) -> FakeShared:
    if pool.shared is None:
        raise Refused(Problem.POOL_AWAY, f"pool {pool.name!r} has no blocklist")
    return pool.shared


class FakeBlobs:
    """Implements `velocity.storage.port.Blobs`."""

    def __init__(self, line: FakeDevice) -> None:
        self._line = line

    async def create(self, ref: MediaRef, size: int, *, deadline: float) -> None:
        def make(pool: FakePool) -> None:
            begin_anew(pool, ref)
            pool.moving[ref] = FakeContent(data=qcow2(size)) if ref.format == "qcow2" else FakeContent(size)

        await self._line.call(ref.pool, deadline, make, lambda pool: pool.moving.pop(ref, None), wanted=0)

    async def put(self, ref: MediaRef, *, deadline: float) -> Incoming:
        def make(pool: FakePool) -> FakeContent:
            begin_anew(pool, ref)
            if ref in pool.moving:
                raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
            return pool.moving.setdefault(ref, FakeContent())

        made = await self._line.call(
            ref.pool, deadline, make, lambda pool: pool.moving.pop(ref, None), wanted=0, puts=True
        )
        return FakeIncoming(self._line, ref, made)

    async def resume(self, ref: MediaRef, size: int, *, deadline: float) -> Incoming:
        def find(pool: FakePool) -> FakeContent:
            found = pool.moving.get(ref)
            if found is None or found.size < size:
                raise Refused(Problem.MEDIUM_NOT_FOUND, "its data is gone: send it again from the beginning")
            found.cut(size)
            return found

        return FakeIncoming(self._line, ref, await self._line.call(ref.pool, deadline, find, wanted=0))

    async def get(self, ref: MediaRef, *, deadline: float) -> Outgoing:
        found = await self._line.call(ref.pool, deadline, lambda pool: pool.get(ref), writes=False)
        return FakeOutgoing(self._line, ref.pool, found)

    async def grow(self, ref: MediaRef, size: int, *, deadline: float) -> None:
        def larger(pool: FakePool) -> None:
            found = pool.get(ref)
            if ref.format != "qcow2":
                found.size = max(found.size, size)
            elif struct.unpack(">Q", found.read(24, 8)) < (size,):
                found.data[24:32] = struct.pack(">Q", size)

        await self._line.call(ref.pool, deadline, larger, wanted=0)

    async def stat(self, pool: int, refs: tuple[MediaRef, ...], *, deadline: float) -> tuple[Stat | None, ...]:
        def seen(one: FakePool) -> tuple[Stat | None, ...]:
            found = [one.kept.get(ref) or one.moving.get(ref) for ref in refs]
            return tuple(None if each is None else each.stat for each in found)

        return await self._line.call(pool, deadline, seen, writes=False)


class FakeIncoming:
    """Implements `velocity.storage.port.Incoming`."""

    def __init__(self, line: FakeDevice, ref: MediaRef, made: FakeContent) -> None:
        self._line = line
        self._ref = ref
        self._made = made
        self._position = made.size
        self._stays = False

    async def write(self, piece: bytes) -> None:
        offset = self._position
        await self._line.call(self._ref.pool, SECONDS, lambda _: self._made.write(offset, piece), wanted=len(piece))
        self._position += len(piece)

    async def flush(self) -> None:
        return None

    async def finish(self) -> Content:
        made = self._made
        content = await self._line.call(
            self._ref.pool, SECONDS, lambda _: describe(made.read, made.size, made.next_data)
        )
        self._stays = True
        return content

    async def sync(self) -> None:
        return None

    async def leave(self) -> None:
        self._stays = True

    async def close(self) -> None:
        if not self._stays:
            await self._line.settle(self._ref, Belongs.NOWHERE, SECONDS)


class FakeOutgoing:
    """Implements `velocity.storage.port.Outgoing`."""

    def __init__(self, line: FakeDevice, mpid: int, found: FakeContent) -> None:
        self._line = line
        self._mpid = mpid
        self._found = found
        self.stat = found.stat

    async def read(self, offset: int, length: int) -> bytes:
        return await self._line.call(self._mpid, SECONDS, lambda _: self._found.read(offset, length), writes=False)

    async def close(self) -> None:
        return None


class FakeTrash:
    """Implements `velocity.storage.port.Trash`."""

    def __init__(self, line: FakeDevice) -> None:
        self._line = line

    async def lift(self, ref: MediaRef, *, deadline: float) -> None:
        def undo(pool: FakePool) -> None:
            pool.settle(ref, Belongs.KEPT)

        await self._line.call(ref.pool, deadline, lambda pool: pool.lift(ref), undo)

    async def restore(self, ref: MediaRef, *, deadline: float) -> None:
        def undo(pool: FakePool) -> None:
            pool.settle(ref, Belongs.TRASH)

        await self._line.call(ref.pool, deadline, lambda pool: pool.bring_back(ref), undo)

    async def settle(self, ref: MediaRef, belongs: Belongs, *, deadline: float) -> None:
        if ref.pool in self._line.host.pools:
            await self._line.settle(ref, belongs, deadline, told=True)

    async def held(self, pool: int, refs: tuple[MediaRef, ...] | None, *, deadline: float) -> int:
        def sum_up(one: FakePool) -> int:
            return sum(each.stat.allocated for ref, each in one.trash.items() if refs is None or ref in refs)

        return await self._line.call(pool, deadline, sum_up, writes=False)


def qcow2(size: int) -> bytes:
    """The header of an empty image."""
    return struct.pack(">4sIQIIQ", b"QFI\xfb", 3, 0, 0, 16, size).ljust(BLOCK, b"\0")
