"""The pools of a host in memory. They outlive the server; tests inject faults."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar
from uuid import uuid4

from velocity.contract.problems import Problem, Refused
from velocity.storage.errors import refusal
from velocity.storage.port import ONLINE, Belongs, MediaRef, PoolMark, PoolState, Space, Stat, Unknown

BLOCK = 4096
AGAIN = 5.0
"""Seconds until the next attempt at what was refused."""

T = TypeVar("T")


class FakeContent:
    """An object's content: zeros, except what was written. `writes` counts the writes, as a clock."""

    def __init__(self, size: int = 0, data: bytes = b"") -> None:
        self.size = max(size, len(data))
        self.data = bytearray(data)
        self.writes = 0

    def read(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self.size - offset))
        return bytes(self.data[offset : offset + length]).ljust(length, b"\0")

    def next_data(self, offset: int) -> int:
        """Where the next byte that may not be zero is."""
        return offset if offset < len(self.data) else self.size

    def write(self, offset: int, piece: bytes) -> None:
        self.data = self.data.ljust(max(self.size, offset), b"\0")
        self.data[offset : offset + len(piece)] = piece
        self.size = len(self.data)
        self.writes += 1

    def cut(self, size: int) -> None:
        self.data = self.data.ljust(self.size, b"\0")[:size]
        self.size = size

    @property
    def stat(self) -> Stat:
        return Stat(self.size, -(-len(self.data.rstrip(b"\0")) // BLOCK) * BLOCK, self.writes)


@dataclass(frozen=True)
class Fails:
    """The call fails with this error of the operating system, and has no effect."""

    errno: int


@dataclass(frozen=True)
class Late:
    """The call takes effect after so many seconds."""

    seconds: float


@dataclass(frozen=True)
class CallLost:
    """The call takes effect, and its response is lost."""


@dataclass(frozen=True)
class Hangs:
    """From this call on, the pool does not respond until it is woken."""


Fault = Fails | Late | CallLost | Hangs


@dataclass
class FakeShared:
    """Storage that several hosts have mounted. `identity`: its mark; empty: it was never used.

    `term`: of the last server that has opened it.
    """

    identity: str = ""
    term: int = 0
    kept: dict[MediaRef, FakeContent] = field(default_factory=dict)
    moving: dict[MediaRef, FakeContent] = field(default_factory=dict)
    trash: dict[MediaRef, FakeContent] = field(default_factory=dict)
    blocklisted: set[str] = field(default_factory=set)
    """Addresses of blocklisted clients."""
    watched: dict[MediaRef, str] = field(default_factory=dict)
    """Objects that are open for writing, with the address of the client."""

    def blocklist(self, addresses: Collection[str], refs: Sequence[MediaRef]) -> tuple[str, ...]:
        self.blocklisted |= set(addresses)
        return tuple(
            self.watched[ref] if self.watched.get(ref) not in {None, *self.blocklisted} else "" for ref in refs
        )

    def take_off_blocklist(self, addresses: Collection[str]) -> None:
        self.blocklisted -= set(addresses)

    def mounted(self, mpid: int, name: str, client: str = "") -> FakePool:
        """The pool of one host; `client` is the host's address if the storage has a blocklist."""
        return FakePool(mpid, name, kept=self.kept, moving=self.moving, trash=self.trash, shared=self, client=client)


@dataclass
class FakePool:
    """Knobs: `state`, `capacity` (bytes), `blocked` (objects that cannot be moved), `puts`, and `faults`.

    `puts`: cleared, it holds whatever is put into the pool, until it is set; `putting` is set once something waits.
    `faults`: call number -> fault; `calls`: the number of calls so far.
    """

    mpid: int
    name: str
    state: Literal["online", "away", "readonly"] = "online"
    capacity: int = 1 << 40
    kept: dict[MediaRef, FakeContent] = field(default_factory=dict)
    moving: dict[MediaRef, FakeContent] = field(default_factory=dict)
    trash: dict[MediaRef, FakeContent] = field(default_factory=dict)
    left: dict[MediaRef, Belongs] = field(default_factory=dict)
    """What is left to be settled."""
    blocked: set[MediaRef] = field(default_factory=set)
    faults: dict[int, Fault] = field(default_factory=dict)
    calls: int = 0
    shared: FakeShared | None = None
    term: int = 0
    """For a shared pool: the term of the server that has opened it on this host."""
    taken: str = ""
    """For a shared pool: the identity that this host has accepted."""
    client: str = ""
    """This host's address, as a storage with a blocklist knows it."""
    holds: bool = False
    """Data of ended machines is still on its way, and cannot be dropped."""
    given_up: int = 0
    """How often it was dropped."""

    def __post_init__(self) -> None:
        self.answers, self.puts, self.putting = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.answers.set()
        self.puts.set()

    def after(self, calls: int, fault: Fault) -> None:
        """Set the fault of the call that comes after `number` others."""
        self.faults[self.calls + calls + 1] = fault

    def next_fault(self) -> Fault | None:
        self.calls += 1
        return self.faults.pop(self.calls, None)

    def hang(self) -> None:
        self.answers.clear()

    def wake(self) -> None:
        self.answers.set()

    @property
    def now(self) -> PoolState:
        if self.state == "online" and self.space().free < BLOCK:
            return PoolState("full", f"pool {self.name!r} is full: use another one, or remove media")
        if self.state == "online":
            return ONLINE
        return PoolState(self.state, f"pool {self.name!r} is {self.state}: use another one until it is back")

    def space(self) -> Space:
        used = sum(one.stat.allocated for place in (self.kept, self.moving, self.trash) for one in place.values())
        return Space(self.capacity, max(0, self.capacity - used))

    def check(self, *, writes: bool, wanted: int | None) -> None:
        """Raises `OSError`, as a disk in this state does."""
        if self.state == "away" or (self.shared is not None and 0 < self.term < self.shared.term):
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        if self.shared is not None and self.client in self.shared.blocklisted:
            raise OSError(errno.ESHUTDOWN, os.strerror(errno.ESHUTDOWN))
        if writes and self.state == "readonly":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        if wanted is not None and wanted > self.space().free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def get(self, ref: MediaRef) -> FakeContent:
        """Raises `OSError`."""
        for place in (self.kept, self.moving):
            if ref in place:
                return place[ref]
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))

    def put_in_order(self, kept: set[MediaRef], trashed: set[MediaRef], coming: set[MediaRef]) -> None:
        """Clean up after a crash."""
        every, moving = {**self.moving, **self.trash, **self.kept}, dict(self.moving)
        now = (
            (self.kept, {ref for ref in every if ref in kept or (ref in self.kept and ref not in trashed)}),
            (self.moving, {ref for ref in self.moving if ref in coming and (ref not in kept or ref in self.kept)}),
            (self.trash, trashed & every.keys()),
        )
        for place, refs in now:
            place.clear()
            place.update((ref, moving[ref] if place is self.moving else every[ref]) for ref in refs)
        self.left = {}

    def mark(self, expected: str) -> PoolMark:
        """A shared pool's `PoolMark`."""
        if self.shared is None or self.state == "away":
            return PoolMark()
        identity = self.shared.identity
        if expected and identity == expected:
            self.taken = identity
        taken = bool(identity) and identity == self.taken
        return PoolMark(identity, taken, (self.client,) if taken and self.client else ())

    def take(self, *, first: bool, term: int) -> None:
        """Open it; the `first` host makes a new pool's mark. Raises `OSError` if it is another pool than before."""
        if self.shared is None:
            return
        if first:
            self.shared.identity = self.shared.identity or self.taken or str(uuid4())
            self.taken = self.taken or self.shared.identity
        if self.shared.identity != self.taken or 0 < term < self.shared.term:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        self.term, self.shared.term = term, term or self.shared.term

    def lift(self, ref: MediaRef) -> None:
        self.left.pop(ref, None)
        if ref in self.kept:
            self.moving[ref] = self.kept.pop(ref)

    def bring_back(self, ref: MediaRef) -> None:
        self.left.pop(ref, None)
        if ref not in self.moving:
            if ref not in self.trash:
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
            self.moving[ref] = self.trash.pop(ref)

    def settle(self, ref: MediaRef, belongs: Belongs) -> None:
        """Raises `OSError`."""
        if belongs is Belongs.KEPT and ref in self.blocked:
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        self.left.pop(ref, None)
        one = self.moving.pop(ref, None)
        if belongs is Belongs.NOWHERE:
            self.trash.pop(ref, None)
        elif one is not None:
            (self.kept if belongs is Belongs.KEPT else self.trash)[ref] = one


def begin_anew(pool: FakePool, ref: MediaRef) -> None:
    """Before a new object of this name is begun, what is left to do with an older one is done. Raises `OSError`."""
    if (belongs := pool.left.get(ref)) is not None:
        pool.settle(ref, belongs)


class FakeHost:
    """A host with these pools (mpid -> name), and shared ones, which know it as `client`."""

    def __init__(
        self, *pools: tuple[int, str], shared: Mapping[tuple[int, str], FakeShared] | None = None, client: str = ""
    ) -> None:
        self.pools = {mpid: FakePool(mpid, name) for mpid, name in pools}
        self.pools |= {mpid: storage.mounted(mpid, name, client) for (mpid, name), storage in (shared or {}).items()}


class FakeDevice:
    """A server's connection to a host. Once `cut`, no call arrives."""

    def __init__(self, host: FakeHost, again: float) -> None:
        self.host = host
        self.cut = False
        for pool in host.pools.values():
            pool.left.clear()  # only the previous server knew
            pool.term = 0
        self.opened: set[int] = set()
        self._again = again
        self._retrying: dict[int, asyncio.Task[None]] = {}
        self._overdue: dict[int, set[asyncio.Task[object]]] = {mpid: set() for mpid in host.pools}

    def pool(self, mpid: int) -> FakePool:
        try:
            return self.host.pools[mpid]
        except KeyError:
            raise Refused(Problem.MEDIUM_NOT_FOUND, "the medium's pool is no longer declared", field="mid") from None

    def check_answers(self, mpid: int) -> None:
        """Raises `Unknown` while an earlier call has missed its deadline and not ended."""
        if self._overdue[mpid]:
            raise self._unknown(self.pool(mpid))

    async def call(
        self,
        mpid: int,
        deadline: float,
        deed: Callable[[FakePool], T],
        undo: Callable[[FakePool], object] = lambda _: None,
        *,
        writes: bool = True,
        wanted: int | None = None,
        puts: bool = False,
    ) -> T:
        """One call, with its fault. Raises `Refused`, and `Unknown`: then it is undone once it has taken effect."""
        pool = self.pool(mpid)
        fault = pool.next_fault()
        doing = asyncio.create_task(self._do(pool, deed, fault, deadline, writes=writes, wanted=wanted, puts=puts))
        try:
            await asyncio.wait({doing}, timeout=deadline)
        finally:
            if not doing.done():
                doing.add_done_callback(lambda done: self._late(pool, done, undo))
        if not doing.done():
            self._overdue[mpid].add(doing)
            raise self._unknown(pool)
        return doing.result()

    async def _do(
        self,
        pool: FakePool,
        deed: Callable[[FakePool], T],
        fault: Fault | None,
        deadline: float,
        *,
        writes: bool,
        wanted: int | None,
        puts: bool,
    ) -> T:
        if isinstance(fault, Hangs):
            pool.hang()
        await pool.answers.wait()
        if puts and not pool.puts.is_set():
            pool.putting.set()
            await pool.puts.wait()
        if isinstance(fault, Late):
            await asyncio.sleep(fault.seconds)
        if self.cut:
            await asyncio.Event().wait()
        try:
            if isinstance(fault, Fails):
                raise OSError(fault.errno, os.strerror(fault.errno))
            pool.check(writes=writes, wanted=wanted)
            result = deed(pool)
        except OSError as error:
            raise refusal(pool.mpid, pool.name, error, wanted) from None
        if isinstance(fault, CallLost):
            await asyncio.sleep(2 * deadline)
        return result

    def _late(self, pool: FakePool, done: asyncio.Task[T], undo: Callable[[FakePool], object]) -> None:
        self._overdue[pool.mpid].discard(done)
        if not done.cancelled() and done.exception() is None and not self.cut:
            undo(pool)

    def _unknown(self, pool: FakePool) -> Unknown:
        return Unknown(f"the disk of pool {pool.name!r} does not respond: use another pool until it does")

    async def settle(self, ref: MediaRef, belongs: Belongs, deadline: float, *, told: bool = False) -> None:
        """Settle it now or later; in a shared pool now. Raises `Refused` there if it was `told`, as it is repeated."""
        if self.cut:
            await asyncio.Event().wait()
        if self.pool(ref.pool).shared is not None:
            try:
                await self.call(ref.pool, deadline, lambda pool: pool.settle(ref, belongs))
            except Refused:
                if told:
                    raise
            return
        self.pool(ref.pool).left[ref] = belongs
        await self._settle(ref, belongs, deadline)
        retrying = self._retrying.get(ref.pool)
        if self.pool(ref.pool).left and (retrying is None or retrying.done()):
            self._retrying[ref.pool] = asyncio.create_task(self._retry(self.pool(ref.pool)))

    async def _settle(self, ref: MediaRef, belongs: Belongs, deadline: float) -> None:
        def settle(pool: FakePool) -> None:
            if pool.left.get(ref) is belongs:
                pool.settle(ref, belongs)

        try:
            await self.call(ref.pool, deadline, settle)
        except Refused:
            return

    async def _retry(self, pool: FakePool) -> None:
        while pool.left and not self.cut:
            await asyncio.sleep(self._again)
            for ref, belongs in list(pool.left.items()):
                await self._settle(ref, belongs, self._again)

    async def close(self) -> None:
        for retrying in self._retrying.values():
            retrying.cancel()
        self.cut = True
