"""What Velocity asks of a host's storage: four small Protocols that a directory or many hosts can implement.

The law of these calls:

- A call names its pool, and so its host. It ends as done, as refused (`Refused`, with the host's words: it did not
  happen, and nothing of it remains) or as unknown (`Unknown`: the pool did not answer by the caller's deadline, in
  seconds; what it was to make is removed again as soon as the pool answers).
- An object is made out of sight. The database decides: `Trash.settle` tells where an object belongs, after the commit
  that says so. It is never refused: what cannot be done now is done again and again, by the host itself, until it is.
- A shared pool is one that several hosts have. What a host cannot settle there is refused, and told again, maybe to
  another host: it may be another's turn by then. Nobody removes there what another host may be making.
- One pool that is away, read-only, full or silent costs its own objects, never another pool's.
- Values are tagged structs: the same calls can cross a wire. Paths never leave the host.
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
    """The pool did not answer in time."""

    def __init__(self, message: str) -> None:
        super().__init__(Problem.POOL_AWAY, message)


class Value(Struct, frozen=True, tag=True):
    """What crosses a port. Each kind is told by its tag."""


class ObjectKind(enum.Enum):
    """What an object is. All but media belong to a machine, in no list and with no quota of their own."""

    MEDIUM = "medium"
    VARIABLES = "vars"
    TPM = "tpm"
    STATE = "state"


class MediaRef(Value, frozen=True):
    """An object in a pool, which the host resolves to its bytes. Of what is a machine's, `medium` is the machine."""

    pool: int
    medium: UUID
    format: str
    kind: ObjectKind = ObjectKind.MEDIUM


HOST_POOL = 0
"""The host's own pool, in its data directory: in no list, always there. Those that are declared count from 1."""


def variables(machine: UUID) -> MediaRef:
    """The firmware variables of a machine: in the host's own pool, so that a machine starts whatever other pools do."""
    return MediaRef(HOST_POOL, machine, "qcow2", ObjectKind.VARIABLES)


class PoolState(Value, frozen=True):
    """`message` says what it means and what to do, without a path; empty: all is well.

    One that is full does all that takes no bytes, and what its trash makes room for.
    """

    state: Literal["online", "away", "readonly", "full"]
    message: str = ""


ONLINE = PoolState("online")


class PoolMark(Value, frozen=True):
    """What tells a shared pool from others, on each host that has it; empty: it is not there, or nobody has used it.

    `taken`: this host takes it for its pool. `clients`: the addresses by which the storage knows what this host asks of
    it, where it can be told to take nothing from them (`Pools.blocklist`).
    """

    identity: str = ""
    taken: bool = False
    clients: tuple[str, ...] = ()


class Space(Value, frozen=True):
    """In bytes, of what the pool lies on."""

    size: int = 0
    free: int = 0


class Pools(Protocol):
    """The pools themselves."""

    async def state(self, pool: int, *, deadline: float) -> PoolState | None:
        """As it is now; None: that cannot be told before it is opened.

        Raises `Unknown`, and at once as long as an earlier question has no answer.
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
        """Tell which objects it has, and which are still coming (`Blobs.resume`).

        The pool is known by those it has where it has no mark, and put in order the first time: what a crash left goes
        to its place, or goes. Not so a shared one that another host has put in order (`tidy` False): this one makes no
        mark there, and touches nothing, as it would be what the other one makes. Nor is it there for whom a server of a
        later `term` has opened it since. Raises `Unknown`.
        """

    async def mark(self, pool: int, expected: str, *, deadline: float) -> PoolMark:
        """That of a shared pool. This host takes it for its own from now on, if it has the `expected` identity.

        Raises `Unknown`.
        """

    async def space(self, pool: int, *, deadline: float) -> Space: ...

    async def blocklist(
        self, pool: int, addresses: tuple[str, ...], refs: tuple[MediaRef, ...], *, deadline: float
    ) -> tuple[str, ...]:
        """The storage takes nothing any more from clients at these addresses, whatever becomes of this host.

        The answer says of each object, in this order, at which address somebody has it open to write all the same;
        empty: nobody has. Raises `Refused`: it is not known to be so; and `Unknown`.
        """

    async def unblock(self, pool: int, addresses: tuple[str, ...], *, deadline: float) -> None:
        """They are clients as others again. Raises `Refused`, `Unknown`: they may not be yet."""

    async def give_up(self, pool: int, *, deadline: float) -> None:
        """Nothing of what machines that have ended wrote on this host is still on its way to the storage.

        It is lost, if it was. Raises `Refused`, `Unknown`: it may be on its way.
        """

    async def close(self) -> None:
        """What is left to do is done after the next start."""


class Stat(Value, frozen=True):
    """`allocated` is what it takes on the disk, in bytes; `modified` in unix seconds."""

    size: int
    allocated: int
    modified: float


class Incoming(Protocol):
    """An object whose bytes are coming. One writer, one call at a time."""

    async def write(self, piece: bytes) -> None:
        """Append. What has come may be gathered before it is written."""

    async def flush(self) -> None:
        """Write what was gathered."""

    async def sync(self) -> None:
        """What has come so far, durable."""

    async def finish(self) -> Content:
        """Durable, and what it turns out to be."""

    async def leave(self) -> None:
        """Durable what has come, and let go of it: `Blobs.resume` goes on with it."""

    async def close(self) -> None:
        """Let go; nothing remains of what was neither finished nor left."""


class Outgoing(Protocol):
    """An object that is read; it reads on when the object is removed."""

    stat: Stat

    async def read(self, offset: int, length: int) -> bytes:
        """Fewer at the end."""

    async def close(self) -> None: ...


class Blobs(Protocol):
    """The bytes of objects. What is made is out of sight until it is settled."""

    async def create(self, ref: MediaRef, size: int, *, deadline: float) -> None:
        """An empty one of so many bytes, durable."""

    async def put(self, ref: MediaRef, *, deadline: float) -> Incoming: ...

    async def resume(self, ref: MediaRef, size: int, *, deadline: float) -> Incoming:
        """Go on with one that was left, behind so many of its bytes.

        Raises `Refused(MEDIUM_NOT_FOUND)` when it is not there, or has fewer.
        """

    async def get(self, ref: MediaRef, *, deadline: float) -> Outgoing: ...

    async def grow(self, ref: MediaRef, size: int, *, deadline: float) -> None:
        """The disk of a kept one has so many bytes, durable; one that has more keeps them.

        Nobody may have it open to write. Raises `Refused`: it is as it was; and `Unknown`: it may grow yet.
        """

    async def stat(self, pool: int, refs: tuple[MediaRef, ...], *, deadline: float) -> tuple[Stat | None, ...]:
        """Of each, in this order; None: it cannot be seen."""


class Belongs(enum.Enum):
    """Where an object belongs."""

    KEPT = "kept"
    TRASH = "trash"
    NOWHERE = "nowhere"


class Trash(Protocol):
    """Objects that come and go."""

    async def lift(self, ref: MediaRef, *, deadline: float) -> None:
        """Out of sight, before the database forgets it. One that is not there is no failure."""

    async def restore(self, ref: MediaRef, *, deadline: float) -> None:
        """Out of the trash, before the database has it again; out of sight still."""

    async def settle(self, ref: MediaRef, belongs: Belongs, *, deadline: float) -> None:
        """It belongs there now. Never fails: see the law. An object that waits is usable all the same.

        In a shared pool it may raise `Refused`, which `velocity.storage.routed` makes up for.
        """

    async def held(self, pool: int, refs: tuple[MediaRef, ...] | None, *, deadline: float) -> int:
        """Bytes that would be free without these of its trash; without all of it (None)."""


class Import(Value, frozen=True):
    """Make an object of the disk that the bytes of another hold: as they are, in an image, or packed.

    They are not trusted; what they are is found by the host. What is packed is looked at again when it is unpacked.
    """

    source: MediaRef
    target: MediaRef


class Clone(Value, frozen=True):
    """Make the same of another object, of the same bytes if it has the same format, unless it is to be `compact`.

    A compact one has no space for what is zero, or that nothing refers to; it may be the same object, anew.
    """

    source: MediaRef
    target: MediaRef
    compact: bool = False


Job = Import | Clone


class Prepared(Value, frozen=True):
    """`size`: the bytes that it will be, 0 where that is not known, as of what is packed.

    `takes`: those of the pool's that it will need.
    """

    size: int
    takes: int


class JobProgress(Value, frozen=True):
    """Of `total` bytes, `done` are done. `wants`: it waits until it may take so many bytes in all, or `needs`.

    `room`: so many have to be free for that, as if it had no holes; what it has taken so far is not among them.
    """

    done: int
    total: int
    wants: int = 0
    room: int = 0
    needs: int = 0


class Made(Value, frozen=True):
    """The object is there, durable, to be settled."""

    size: int
    content: Content


class Jobs(Protocol):
    """Objects that are made of others, on one host. A job is named by its target."""

    async def prepare(self, job: Job, *, deadline: float) -> Prepared:
        """Open and look at the source, which is then read on when it is removed; nothing is made yet.

        From here on `cancel` is to be called at its end.
        """

    async def start(self, target: MediaRef, size: int, *, deadline: float) -> None:
        """Begin; `size` is what it may take from the beginning."""

    async def allow(self, target: MediaRef, size: int, *, deadline: float) -> None:
        """It may take so many bytes in all."""

    def watch(self, target: MediaRef) -> AsyncIterator[JobProgress | Made]:
        """How it does; ends with `Made`. Raises `Refused`: nothing of it remains. One reader a job."""

    async def cancel(self, target: MediaRef, *, deadline: float) -> None:
        """Forget it. Nothing remains of what `watch` has not told as made."""

    async def close(self) -> None:
        """What is under way is given up."""


class MediaFiles(Protocol):
    """How machines get at bytes, of media and of their own objects, on the host itself: nothing of it crosses a wire.

    To be called in a thread. Raises `Refused`.
    """

    def open(self, media: MediaRef, *, readonly: bool, coming: bool = False) -> int:
        """A descriptor; of the one that is made and waits out of sight, if it is `coming`."""

    def direct_lacks(self, media: MediaRef, descriptor: int, *, readonly: bool) -> str:
        """Why its open file cannot be read and written past the host's page cache, in words; empty: it can."""

    def is_shared(self, media: MediaRef) -> bool:
        """Whether other hosts can open it, too."""

    def provide(self, ref: MediaRef, template: int) -> None:
        """An object of the host's own pool: made of the bytes of this descriptor, durable, unless it is there."""

    def remove(self, ref: MediaRef) -> None:
        """An object of the host's own pool, for good. One that is not there is no failure."""


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
