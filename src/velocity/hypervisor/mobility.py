"""The part of the port that moves running machines to another host.

Whoever controls both hosts calls `receive` on the target and `send` on the source, commits to the database, then calls
`take` on the target and `Machines.stop` on the source. Hosts decide nothing: a guest that was handed over runs nowhere
until one of the two lets it run when requested, with an epoch higher than the other's.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from velocity.hypervisor.incarnation import Incarnation
from velocity.hypervisor.spec import MachineSpec
from velocity.storage.port import MediaRef, Value

SAID = 64 << 10
"""Bytes of a guest's serial output that move with it."""


class SerialEnd(Value, frozen=True):
    """The serial port of a machine that was handed over: its last output, and the input that it has not read."""

    said: bytes = b""
    typed: bytes = b""


class MovePhase(enum.Enum):
    """What is in progress. In HANDING_OVER the guest is stopped."""

    DISKS = "disks"
    MEMORY = "memory"
    HANDING_OVER = "handing over"


class Landing(Value, frozen=True):
    """Where the target waits for a machine: its address, and the TCP ports for memory and disks.

    `key` is the secret of this one move, in hexadecimal digits; it must not be logged.
    """

    address: str
    migration: int
    disks: int
    key: str

    def __repr__(self) -> str:
        return f"Landing(address={self.address!r}, migration={self.migration}, disks={self.disks})"


class Copied(Value, frozen=True):
    """A disk that is not on storage of both hosts. `target` exists there, with the same virtual size."""

    source: MediaRef
    target: MediaRef


class MoveProgress(Value, frozen=True):
    """Of `total` bytes of this phase, `done` are on the target; the total grows as the guest writes."""

    phase: MovePhase
    done: int
    total: int


class Mobility(Protocol):
    """Live migration. Calls for one run come one at a time, as those of `Machines`.

    While `send` runs, only `facts`, `stop` and calls that change nothing are allowed.
    """

    async def places(self, who: Incarnation, *, deadline: float) -> bytes:
        """On the source: the addresses of a running machine's devices, in a form that only `receive` reads.

        Hot-plugged devices are not where a cold start would put them.
        """

    async def receive(
        self, who: Incarnation, spec: MachineSpec, places: bytes, copied: Sequence[Copied], *, deadline: float
    ) -> Landing:
        """On the target: start a process with this hardware that waits for its guest.

        `spec` is what `Machines.alter` last returned, with the target's media and the seed of the start. `who` has the
        target's host and the next epoch; its fact is INCOMING, and RECEIVED when the guest has arrived. Unless it is
        taken, its firmware variables and run directory are removed with its end. If nothing arrives for some time, it
        ends by itself. A second call is refused: `release` it before.
        """

    def send(
        self, who: Incarnation, landing: Landing, copied: Sequence[Copied], *, deadline: float
    ) -> AsyncIterator[MoveProgress]:
        """On the source, for a RUNNING machine: returns when it is HANDED, and the target has everything.

        The serial streams that are open end with its last output here: they continue at the target, or after `back`.
        Reports progress at least every second. If the caller abandons it, if it raises, or if anybody is killed, the
        guest continues here: the source drives the move itself, and does not stop a guest for longer than ten seconds.
        After an abandoned call, or `Unknown`, `facts` says what became of it once the target is known to be released or
        RECEIVED: RUNNING and HANDED are final then. While the guest is stopped, `facts` raises `Unknown`.
        """

    async def take(self, who: Incarnation, said: bytes, typed: bytes = b"", *, deadline: float) -> int:
        """On the target, after the commit that makes `who` the machine's run: let it run. Idempotent.

        Refused unless it is RECEIVED, or becomes so within the deadline. `said` and `typed` are from `last` on the
        source: its log begins with the one, and the guest reads the other before anything else.
        """

    async def release(self, who: Incarnation, *, deadline: float) -> None:
        """On the target: end what waits or has arrived, and acknowledge it; this epoch never starts there. Idempotent.

        Refused after `take`: then it is an ordinary run.
        """

    async def last(self, who: Incarnation, *, deadline: float) -> SerialEnd:
        """On the source, for a HANDED machine, any number of times: at most `SAID` bytes of output."""

    async def back(self, who: Incarnation, *, deadline: float) -> int:
        """On the source, for a HANDED machine: let it run here as this incarnation, with its unread input. Idempotent.

        Its target is known to have ended, and `who` has a higher epoch than that had. `Machines.resume` is refused.
        """
