"""What Velocity needs of a host's storage: small Protocols that a directory or a cluster can implement.

The rules of these calls:

- A call names its pool, and so its host. It succeeds; or is refused (`Refused`, with a message: it did not happen and
  nothing of it is left); or its outcome is unknown (`Unknown`: the pool did not respond by the caller's deadline, in
  seconds; what the call creates is removed as soon as the pool responds).
- Objects are created hidden. After the commit that decides where an object belongs, `Trash.settle` says so. It is never
  refused: the host itself retries until it succeeds.
- A shared pool is on several hosts. There, `settle` may be refused, and is called again, perhaps on another host, whose
  turn it may be by then. No host removes what another one may be creating.
- A pool that is away, read-only, full or silent affects only its own objects.
- Values are tagged structs, so that calls can cross a network. Paths never leave the host.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Protocol
from uuid import UUID

from msgspec import Struct

from velocity.contract.media import Content
from velocity.contract.problems import Problem, Refused


class Unknown(Refused):
    """The pool did not respond in time."""

    def __init__(self, message: str) -> None:
        super().__init__(Problem.POOL_AWAY, message)


class Value(Struct, frozen=True, tag=True):
    """A value that crosses the port, with a tag for its type."""


class ObjectKind(enum.Enum):
    """The kind of an object. All except media belong to a machine, and are not in lists or quotas."""

    MEDIUM = "medium"
    VARIABLES = "vars"


class MediaRef(Value, frozen=True):
    """An object in a pool. For kinds other than media, `medium` is the machine's uuid."""

    pool: int
    medium: UUID
    format: str
    kind: ObjectKind = ObjectKind.MEDIUM


HOST_POOL = 0
"""The host's own pool, in its data directory: always there, in no list. Declared pools have ids from 1."""


def variables(machine: UUID) -> MediaRef:
    """A machine's firmware variables. They are in the host's own pool, so that a start does not depend on other pools
    for them.
    """
    return MediaRef(HOST_POOL, machine, "qcow2", ObjectKind.VARIABLES)


class PoolState(Value, frozen=True):
    """`message` explains the state and says what to do, without paths; empty if all is well.

    A full pool does everything that needs no space, or for which emptying the trash makes room.
    """

    state: Literal["online", "away", "readonly", "full"]
    message: str = ""


ONLINE = PoolState("online")


class PoolMark(Value, frozen=True):
    """The identity of a shared pool on a host; empty: it is not there, or was never used.

    `taken`: the identity that this host has accepted for its pool. `clients`: the addresses by which the storage knows
    this host, if it has a blocklist (`Pools.blocklist`).
    """

    identity: str = ""
    taken: bool = False
    clients: tuple[str, ...] = ()


class Space(Value, frozen=True):
    """Space of what the pool is stored on, in bytes."""

    size: int = 0
    free: int = 0


class Pools(Protocol):
    """The pools."""

    async def state(self, pool: int, *, deadline: float) -> PoolState | None:
        """The present state; None if it is not known before `open`.

        Raises `Unknown`, at once while an earlier call has not returned.
        """

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
        """Tell the pool which objects it has, and which uploads may be resumed (`Blobs.resume`).

        A pool without a mark is recognized by its objects. The first call cleans up after a crash: objects are moved to
        their places, or removed. With `tidy` False another host has done so for a shared pool: this one makes no mark
        and touches nothing, as that could be what the other host is creating. The pool counts as away if a server of a
        later `term` has opened it. Raises `Unknown`.
        """

    async def mark(self, pool: int, expected: str, *, deadline: float) -> PoolMark:
        """The identity of a shared pool. If it is the `expected` one, this host accepts it for its pool.

        Raises `Unknown`.
        """

    async def space(self, pool: int, *, deadline: float) -> Space: ...

    async def blocklist(
        self, pool: int, addresses: tuple[str, ...], refs: tuple[MediaRef, ...], *, deadline: float
    ) -> tuple[str, ...]:
        """Have the storage refuse all requests of the clients at these addresses, whatever happens to this host.

        Returns for each of the objects, in order, the address of a client that still has it open for writing; empty:
        none has. Raises `Refused` if that is not certain, and `Unknown`.
        """

    async def take_off_blocklist(self, pool: int, addresses: tuple[str, ...], *, deadline: float) -> None:
        """Accept these clients again. Raises `Refused`, `Unknown`: they may still be blocklisted."""

    async def give_up(self, pool: int, *, deadline: float) -> None:
        """Drop what ended machines have written on this host and the storage has not received.

        Such data is lost. Raises `Refused`, `Unknown`: some may still be on its way.
        """

    async def close(self) -> None:
        """Close the pools. What is left to do is done after the next start."""


class Stat(Value, frozen=True):
    """`allocated` is the space on disk, in bytes; `modified` in Unix seconds."""

    size: int
    allocated: int
    modified: float


class Incoming(Protocol):
    """An object that is being received. One writer, one call at a time."""

    async def write(self, piece: bytes) -> None:
        """Append. Data may be collected before it is written."""

    async def flush(self) -> None:
        """Write collected data."""

    async def sync(self) -> None:
        """Make durable what was received so far."""

    async def finish(self) -> Content:
        """Make it durable and complete; returns what it contains."""

    async def leave(self) -> None:
        """Make durable what was received, and close it; `Blobs.resume` continues."""

    async def close(self) -> None:
        """Close it; without `finish` or `leave`, nothing of it is left."""


class Outgoing(Protocol):
    """An object that is being read; reading continues even if it is removed."""

    stat: Stat

    async def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer at the end."""

    async def close(self) -> None: ...


class Blobs(Protocol):
    """The bytes of objects. New objects are hidden until they are settled."""

    async def create(self, ref: MediaRef, size: int, *, deadline: float) -> None:
        """Create an empty object of this size, durably."""

    async def put(self, ref: MediaRef, *, deadline: float) -> Incoming: ...

    async def resume(self, ref: MediaRef, size: int, *, deadline: float) -> Incoming:
        """Continue an object that was left, after so many bytes.

        Raises `Refused(MEDIUM_NOT_FOUND)` if it does not exist or has fewer.
        """

    async def get(self, ref: MediaRef, *, deadline: float) -> Outgoing: ...

    async def grow(self, ref: MediaRef, size: int, *, deadline: float) -> None:
        """Enlarge an object's disk to so many bytes, durably; a larger one is not changed.

        Nobody may have it open for writing. Raises `Refused` (unchanged) and `Unknown` (it may still grow).
        """

    async def stat(self, pool: int, refs: tuple[MediaRef, ...], *, deadline: float) -> tuple[Stat | None, ...]:
        """The stat of each, in order; None if it cannot be read."""


class Belongs(enum.Enum):
    """Where an object belongs."""

    KEPT = "kept"
    TRASH = "trash"
    NOWHERE = "nowhere"


class Trash(Protocol):
    """Objects that come and go."""

    async def lift(self, ref: MediaRef, *, deadline: float) -> None:
        """Hide an object before the database deletes it. A missing one is no error."""

    async def restore(self, ref: MediaRef, *, deadline: float) -> None:
        """Take an object out of the trash before the database restores it; it stays hidden."""

    async def settle(self, ref: MediaRef, belongs: Belongs, *, deadline: float) -> None:
        """The object belongs there now. Never refused, see the rules; until it is done, the object can be used all the
        same.

        Raises `Refused` only in a shared pool; `velocity.storage.routed` repeats the call.
        """

    async def held(self, pool: int, refs: tuple[MediaRef, ...] | None, *, deadline: float) -> int:
        """Bytes that deleting these objects of its trash would free; None: all of its trash."""


class Import(Value, frozen=True):
    """Create an object from the disk in another object's bytes: raw, in an image, or packed.

    The bytes are not trusted: the host finds out what they are, and again after unpacking.
    """

    source: MediaRef
    target: MediaRef


class Clone(Value, frozen=True):
    """Copy an object, to the same or another format.

    With `compact`, the copy has no space for zeros and unused clusters; it may replace the source.
    """

    source: MediaRef
    target: MediaRef
    compact: bool = False


Job = Import | Clone


class Prepared(Value, frozen=True):
    """`size`: of the new object, in bytes; 0 if it is not known, as for packed sources.

    `takes`: bytes that the pool needs for it.
    """

    size: int
    takes: int


class JobProgress(Value, frozen=True):
    """`done` of `total` bytes. `wants`: the job waits for permission to use so many bytes in total, or at least
    `needs`.

    `room`: the free bytes that this requires if nothing is sparse, apart from what the job has used so far.
    """

    done: int
    total: int
    wants: int = 0
    room: int = 0
    needs: int = 0


class Made(Value, frozen=True):
    """The object exists, durably, to be settled."""

    size: int
    content: Content


class Jobs(Protocol):
    """Objects made from others, on one host. A job is named by its target.

    A host that was restarted does not know its jobs any more: `start`, `allow` and `watch` raise
    `Refused(TASK_NOT_FOUND)`. What such a job had written is removed when its target is settled.
    """

    async def prepare(self, job: Job, *, deadline: float) -> Prepared:
        """Open and inspect the source, which is then read even if it is removed. Nothing is created yet.

        From here on, `cancel` has to be called in the end.
        """

    async def start(self, target: MediaRef, size: int, *, deadline: float) -> None:
        """Start a job; `size` is what it may use at first."""

    async def allow(self, target: MediaRef, size: int, *, deadline: float) -> None:
        """Allow a job to use so many bytes in total."""

    def watch(self, target: MediaRef) -> AsyncIterator[JobProgress | Made]:
        """Follow a job until `Made`. Raises `Refused`: nothing of it is left. One reader for each job.

        After `Unknown` it can be followed again.
        """

    async def cancel(self, target: MediaRef, *, deadline: float) -> None:
        """Forget a job. Unless `watch` has reported it as made, nothing of it is left."""

    async def close(self) -> None:
        """Cancel all jobs."""


class MediaFiles(Protocol):
    """How machines open objects, on the host itself; these calls never cross a network.

    They block, and are called in threads. They raise `Refused`.
    """

    def open(self, media: MediaRef, *, readonly: bool, coming: bool = False) -> int:
        """A descriptor of the object; `coming`: of one that is still hidden."""

    def direct_lacks(self, media: MediaRef, descriptor: int, *, readonly: bool) -> str:
        """Why the open file does not support direct I/O, past the host's page cache; empty if it does."""

    def is_shared(self, media: MediaRef) -> bool:
        """Whether other hosts can open it, too."""

    def provide(self, ref: MediaRef, template: int) -> None:
        """Create an object in the host's own pool from this descriptor's bytes, durably, unless it exists."""

    def remove(self, ref: MediaRef) -> None:
        """Remove an object of the host's own pool permanently. A missing one is no error."""


@dataclass(frozen=True)
class Storage:
    """Everything that a host's pools offer."""

    pools: Pools
    blobs: Blobs
    trash: Trash
    jobs: Jobs
    files: MediaFiles

    async def close(self) -> None:
        await self.jobs.close()
        await self.pools.close()
