"""The stored state of a move to another host, and what follows from what both hosts report. Pure."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from velocity.hypervisor.port import Fact, HostId, Incarnation
from velocity.machines.run.passage import OVER
from velocity.storage.port import MediaRef


class Phase(enum.Enum):
    """How far a move has come, as stored. Its row stays until the move is finished.

    BEGUN: the VM is at the source, and parts of it may be at the target. DONE: it is at the target, and the source has
    to be cleared. BACK: it stays at the source with a higher epoch, as the target had everything and has ended. UNDONE:
    it stays at the source, and the target has to be cleared.
    """

    BEGUN = "begun"
    DONE = "done"
    BACK = "back"
    UNDONE = "undone"


class MovedMedium(Struct, frozen=True):
    """A medium, with the pool that it comes from and the one that it goes to."""

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
    """One move. `epoch` is that of the run that moves, `next_epoch` the one that it gets; both 0: the VM is stopped.

    `inherited`: it was open in the database with which a host was promoted: another server may have continued it.
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
    """Each call is one transaction, durable when it returns."""

    def load(self) -> Sequence[HostMove]: ...

    async def begin(self, draft: HostMove) -> HostMove:
        """The move with its mvid and, if it is live, with an epoch that was never given to a run of the VM."""

    async def commit(self, move: HostMove) -> None:
        """The VM and its media are on the target, its run with the next epoch. Raises `Refused`: the VM has changed."""

    async def turn_back(self, move: HostMove) -> int:
        """The VM continues at the source with the epoch that is returned."""

    async def undo(self, mvid: int) -> None: ...

    async def finish(self, mvid: int) -> None:
        """Remove the row of the move, which is finished."""


def arriving(store: MoveStore) -> list[MediaRef]:
    """The objects that are at the target of a move that is not committed yet."""
    return [one.there for move in store.load() if move.phase is Phase.BEGUN for one in move.media]


class Do(enum.Enum):
    """What to do with a move: complete it, undo it, let the guest continue at the source with a new epoch, or wait."""

    FORWARD = "forward"
    UNDO = "undo"
    BACK = "back"
    WAIT = "wait"


STANDS = frozenset({Fact.RUNNING, Fact.PAUSED, Fact.HELD})


def follows(source: Fact | None, target: Fact | None, *, wanted: bool) -> Do:
    """What to do with a move that is not committed here, by what both hosts report; None: a host does not respond.

    `wanted`: nobody has requested a stop. Before the commit, the guest is never let run at the target, so a run that
    has ended at the source can be started there again. If it runs at the target nevertheless, another server has
    committed the move, and this database is an older copy. A guest that was handed over continues at the source only if
    the target is known to have ended; while either is unknown, neither runs.
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
