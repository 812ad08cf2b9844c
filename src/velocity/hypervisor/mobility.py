"""The part of the port that moves running machines to another host.

A move is told to both hosts by whoever controls them: `receive` on the target, `send` on the source, then the commit
of the one truth, then `take` on the target and `Machines.stop` on the source. Hosts decide nothing: a guest that was
handed over runs nowhere until one of the two is told to let it, under an epoch that is higher than the other's.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from velocity.hypervisor.incarnation import Incarnation
from velocity.hypervisor.spec import MachineSpec
from velocity.storage.port import MediaRef, Value

SAID = 64 << 10
"""Bytes of what a guest said on its serial port that go with it."""


class SerialEnd(Value, frozen=True):
    """Of the serial port of a machine that was handed over: what it `said` last, and what it has not read yet."""

    said: bytes = b""
    typed: bytes = b""


class MovePhase(enum.Enum):
    """What is under way. In HANDING_OVER the guest stands still."""

    DISKS = "disks"
    MEMORY = "memory"
    HANDING_OVER = "handing over"


class Landing(Value, frozen=True):
    """Where a machine that is received is reached: an address of the target, and its TCP ports for memory and disks.

    `key` is the secret of this one move, in hexadecimal digits: it is shown in no log.
    """

    address: str
    migration: int
    disks: int
    key: str

    def __repr__(self) -> str:
        return f"Landing(address={self.address!r}, migration={self.migration}, disks={self.disks})"


class Copied(Value, frozen=True):
    """A disk that is not on storage of both hosts. `target` was made there, of the same virtual size."""

    source: MediaRef
    target: MediaRef


class MoveProgress(Value, frozen=True):
    """Of `total` bytes of this phase, `done` are on the target; a guest that writes makes the total larger."""

    phase: MovePhase
    done: int
    total: int


class Mobility(Protocol):
    """Machines that go to another host while they run.

    Calls for one run come as those of `Machines` do; while `send` runs, only `facts`, `stop` and what changes nothing.
    """

    async def places(self, who: Incarnation, *, deadline: float) -> bytes:
        """On the source, of one that runs: where in it its devices are, for `receive`, which alone reads it.

        What was plugged in while it ran is elsewhere than where a start would put it.
        """

    async def receive(
        self, who: Incarnation, spec: MachineSpec, places: bytes, copied: Sequence[Copied], *, deadline: float
    ) -> Landing:
        """On the target: a process with this hardware, of which the media are named as there, that waits for its guest.

        `spec` is what the run is made of, as `Machines.alter` told last, with the seed that it was started with.
        `who` has the target's host and the next epoch; its fact is INCOMING, and RECEIVED when all has come. What is
        made of its firmware's variables and in its run directory is removed with its end, unless it was taken. Where
        nothing comes for some time it ends by itself. Asked again, it is refused: `release` it before.
        """

    def send(
        self, who: Incarnation, landing: Landing, copied: Sequence[Copied], *, deadline: float
    ) -> AsyncIterator[MoveProgress]:
        """On the source, of one that is RUNNING: it ends without an error when that is HANDED, and the target has all.

        Progress comes at least every second. Who abandons it, and whatever it raises, has the guest run on here,
        whoever is killed, as the source drives the move itself and lets no guest stand still for longer than ten
        seconds. What became of an abandoned one, or after `Unknown`, is told by `facts`, once the target is known to be
        released or to have RECEIVED it: RUNNING and HANDED stay then. `facts` raises `Unknown` while it stands still.
        """

    async def take(self, who: Incarnation, said: bytes, typed: bytes = b"", *, deadline: float) -> int:
        """On the target, behind the commit that makes `who` the run of its machine: let it run.

        Done already is success. Refused unless it is RECEIVED, or becomes so within the deadline. `said` and `typed`
        are what `last` tells on the source: with the one its log begins here, the other it reads before anything else.
        """

    async def release(self, who: Incarnation, *, deadline: float) -> None:
        """On the target: end what waits or was received, and acknowledge it; this epoch is never started there.

        Already gone is success. Refused of one that was taken: that is a run as any other.
        """

    async def last(self, who: Incarnation, *, deadline: float) -> SerialEnd:
        """On the source, of one that is HANDED, as often as it is asked: `SAID` bytes of what it said at most."""

    async def back(self, who: Incarnation, *, deadline: float) -> int:
        """On the source, of one that is HANDED: let it run here, as this incarnation, with what it had not read.

        Done already is success. Its target is known to have ended, and `who` has a higher epoch than that had.
        `Machines.resume` is refused.
        """
