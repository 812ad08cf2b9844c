"""The stored state of a move to another host, and what follows from what both hosts report. Pure."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID, uuid5

from msgspec import Struct

from velocity.hypervisor.port import Fact, HostId, Incarnation
from velocity.storage.port import MediaRef


def place(machine: UUID, host: HostId) -> UUID:
    """Another one on each host: by it a task is known that was to bring a VM there."""
    return uuid5(machine, f"host {host}")


class Phase(enum.Enum):
    """How far a move is kept to have come; until the end of each, its row stays.

    BEGUN: the VM is at the source, and something of it may be at the target. DONE: it is at the target, and the source
    is to be cleared. BACK: it stays at the source under a higher epoch, as the target had all and has ended. UNDONE: it
    stays at the source, and the target is to be cleared.
    """

    BEGUN = "begun"
    DONE = "done"
    BACK = "back"
    UNDONE = "undone"


class MovedMedium(Struct, frozen=True):
    """A medium, and the pools that it goes from and to."""

    mid: UUID
    format: str
    source: int
    target: int

    @property
    def there(self) -> MediaRef:
        return MediaRef(self.target, self.mid, self.format)

    @property
    def here(self) -> MediaRef:
        return MediaRef(self.source, self.mid, self.format)


@dataclass(frozen=True)
class HostMove:
    """One. `epoch` is that of the run which moves, `next_epoch` the one that it gets; both 0: the VM is stopped.

    `inherited`: it was open in a database by which a host was promoted, and another server may have gone on with it.
    """

    vmid: int
    uuid: UUID
    source: HostId
    target: HostId
    epoch: int
    media: Sequence[MovedMedium]
    phase: Phase = Phase.BEGUN
    next_epoch: int = 0
    mvid: int = 0
    inherited: bool = False

    @property
    def live(self) -> bool:
        return self.epoch > 0

    @property
    def leaving(self) -> Incarnation:
        """The run at the source."""
        return Incarnation(self.uuid, self.source, self.epoch)

    @property
    def coming(self) -> Incarnation:
        """The run at the target."""
        return Incarnation(self.uuid, self.target, self.next_epoch)


class MoveStore(Protocol):
    """Each call is one transaction; what returns is durable."""

    def load(self) -> Sequence[HostMove]: ...

    async def begin(self, draft: HostMove) -> HostMove:
        """With its mvid and, of a run, with an epoch that no run of the VM has had, or was to have."""

    async def commit(self, move: HostMove) -> None:
        """The VM is on the target, under the next epoch, and so are its media. Raises `Refused` where it is another."""

    async def turn_back(self, move: HostMove) -> int:
        """The VM runs on at the source under the epoch that is returned."""

    async def undo(self, mvid: int) -> None: ...

    async def finish(self, mvid: int) -> None:
        """Nothing of it is left to do."""


def arriving(store: MoveStore) -> list[MediaRef]:
    """The objects that are at their target before their move is committed."""
    return [one.there for move in store.load() if move.phase is Phase.BEGUN for one in move.media]


class Do(enum.Enum):
    """What follows."""

    FORWARD = "forward"
    UNDO = "undo"
    BACK = "back"
    WAIT = "wait"


STANDS = frozenset({Fact.RUNNING, Fact.PAUSED, Fact.HELD})
OVER = frozenset({Fact.ENDED, Fact.ABSENT})


def follows(source: Fact | None, target: Fact | None, *, wanted: bool) -> Do:
    """Of a move that is not committed, by what both hosts say of its runs; None: a host does not answer.

    `wanted`: nobody has asked for its end. What was not committed was never let run at the target: whatever ended at
    the source can begin there again. What was, and does run there, another server has committed, of which this database
    is a copy of before. Only a source that has handed its machine over, and a target that is known to have ended, let
    it run on at the source; as long as either is not known, neither runs.
    """
    if source in STANDS:
        return Do.UNDO
    if target in STANDS:
        return Do.FORWARD
    if source in OVER and not wanted:
        return Do.UNDO
    has_all = target is Fact.RECEIVED
    if source in OVER:
        return Do.FORWARD if has_all else Do.UNDO
    if source is not Fact.HANDED or not (has_all or target in OVER):
        return Do.WAIT
    if not wanted:
        return Do.UNDO
    return Do.FORWARD if has_all else Do.BACK
