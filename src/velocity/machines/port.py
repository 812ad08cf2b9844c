"""What machines need of the store."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol
from uuid import UUID

from velocity.access.rules import Discarded
from velocity.contract.machines import State
from velocity.hypervisor.port import HostId
from velocity.machines.rules import Machine, RunRecord, Spec, Unreadable
from velocity.media.rules import Medium


class Noted(Protocol):
    """Records in the history what the server does by itself: the operation, the ids and name of its object, and for
    which user.
    """

    def __call__(self, did: str, named: Mapping[str, int | str], gid: int = 0, by: int | None = None) -> None: ...


class MachineStore(Protocol):
    """Each call is one transaction, durable when it returns. Vmids are never reused."""

    def load(self, own: HostId) -> tuple[Sequence[tuple[Machine, RunRecord]], Sequence[Unreadable]]:
        """The VMs of all hosts, of which `own` is the server's, and those that cannot be read."""

    def discarded(self) -> dict[str, int]:
        """The uuids of VMs in the trash, including unreadable ones, each with its highest place in NAT's networks."""

    async def add(self, machine: Machine, media: Sequence[Medium] = ()) -> int:
        """Returns the vmid; the machine has none yet. These media are added with it."""

    async def remove(self, vmid: int, discarded: Discarded | None = None, media: Collection[UUID] = ()) -> None:
        """Into the trash, or permanently (None), with these media."""

    async def alter(self, vmid: int, name: str, spec: Spec) -> None: ...

    async def move(self, vmid: int, gid: int, spec: Spec, media: Collection[UUID]) -> None:
        """To another group, with these media."""

    async def alter_run(self, vmid: int, epoch: int, spec: Spec) -> None:
        """Store what that run consists of by now, unless it has ended."""

    async def begin_run(self, vmid: int, wanted: State, spec: Spec, host: HostId) -> int:
        """The epoch of a new run with that specification, one more than the last; the old reason is removed.

        It is on that host from now on. A restart stays noted, as a crash may come before it has started. Raises
        `Refused` if the host was confirmed dead.
        """

    async def keep_progress(self, vmid: int, progress: RunRecord) -> None:
        """Store it, unless a run with a higher epoch than `progress.epoch` has begun.

        Of the run only the end is stored: its specification is removed.
        """
