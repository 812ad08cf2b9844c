"""One VM on its way to another host, as all parts of the move see it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from velocity.contract.machines import State
from velocity.contract.problems import Refused
from velocity.hypervisor.port import HostId, SerialEnd
from velocity.machines.move.rules import HostMove, MovedMedium, Phase
from velocity.machines.move.targets import Pairs
from velocity.machines.run.keeper import Keeper
from velocity.machines.run.passage import Moving
from velocity.machines.service import Fleet
from velocity.media.reservations import Reservations
from velocity.media.sources import Sources


@dataclass(eq=False)
class Crossing:
    """A move under way.

    `media` move along. `begun`: a task works on it. `carried`: everything is at the target, and nothing of it continues
    at the source. `stands`: its guest is known to stand still until it is let run. `last`: the end of its serial
    console at the source, once known. `held` releases what was reserved for the move; `keeps` are called once its media
    are at their new places. `clearing` removes its remains on the other host.
    """

    move: HostMove
    keeper: Keeper | None
    media: Pairs = ()
    begun: bool = False
    carried: bool = False
    stands: bool = False
    last: SerialEnd | None = None
    held: ExitStack = field(default_factory=ExitStack)
    keeps: list[Callable[[], None]] = field(default_factory=list)
    clearing: asyncio.Task[None] | None = None

    @property
    def wanted(self) -> bool:
        """Whether nobody has requested a stop meanwhile. The loss of its host does not count as a request."""
        return self.keeper is not None and self.keeper.progress.wanted is not State.STOPPED

    @property
    def is_open(self) -> bool:
        """Whether its VM is not yet where it is to continue."""
        move, keeper = self.move, self.keeper
        if keeper is None or move.phase is Phase.UNDONE or keeper.progress.run is None:
            return False
        return move.phase is not Phase.DONE or keeper.who == move.coming

    def is_now(self, phase: Phase) -> None:
        self.move = replace(self.move, phase=phase)

    def other_host(self) -> HostId:
        """The host on which the remains of the move are removed."""
        return self.move.source if self.move.phase is Phase.DONE else self.move.target


def draft(keeper: Keeper, target: HostId, media: Pairs) -> HostMove:
    machine, run = keeper.machine, keeper.progress.run
    return HostMove(
        vmid=machine.vmid,
        uuid=machine.uuid,
        source=machine.host,
        target=target,
        epoch=0 if run is None else keeper.progress.epoch,
        media=[MovedMedium(old.mid, old.format, old.mpid, new.mpid) for old, new in media],
    )


class Holding:
    """Reserves what a move needs on both hosts, until `Crossing.held` releases it."""

    def __init__(self, fleet: Fleet, sources: Sources, reservations: Reservations) -> None:
        self._fleet = fleet
        self._sources = sources
        self._reservations = reservations

    def hold(self, crossing: Crossing, moving: Moving) -> None:
        """In one step: claim its memory there, and exclude other changes of the VM and its media. Raises `Refused`."""
        self._hold(crossing, moving, had=False)

    def hold_again(self, crossing: Crossing, moving: Moving) -> None:
        """For a move that an earlier server began: never refuses."""
        self._hold(crossing, moving, had=True)

    def _hold(self, crossing: Crossing, moving: Moving, *, had: bool) -> None:
        keeper = crossing.keeper
        assert keeper is not None, "a VM that is gone holds nothing"
        with ExitStack() as stack:
            for old, new in crossing.media:
                try:
                    change = self._sources.changing(old, "being moved", alone=not crossing.move.live)
                    stack.enter_context(change)
                    crossing.keeps.append(stack.enter_context(self._reservations.change(old, new)))
                except Refused:
                    if not had:
                        raise
            claim = self._fleet.builder.claim(keeper.machine, keeper.progress.run)
            if keeper.machine.host != crossing.move.target:
                stack.enter_context(self._fleet.claims.coming(keeper.machine.uuid, crossing.move.target, claim.amount))
                if (run := keeper.progress.run) is not None:
                    memory = self._fleet.builder.memory
                    stack.enter_context(memory.coming(keeper.machine.uuid, crossing.move.target, run.memory_mib))
            keeper.passage.set(moving)
            stack.callback(keeper.passage.set, None)
            crossing.held = stack.pop_all()
