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
    """Takes for the history what the server does by itself: the operation, and the ids and the name of what it did it
    to.
    """

    def __call__(self, did: str, named: Mapping[str, int | str], gid: int = 0) -> None: ...


class MachineStore(Protocol):
    """Each call is one transaction; what returns is durable. A vmid is never given twice."""

    def load(self, own: HostId) -> tuple[Sequence[tuple[Machine, RunRecord]], Sequence[Unreadable]]:
        """The VMs of all hosts, of which `own` is the server's, and what of them cannot be read."""

    def discarded(self) -> dict[str, int]:
        """The uuids of those in the trash, also of what cannot be read, each with its last place in NAT's networks."""

    async def add(self, uuid: UUID, host: HostId, gid: int, name: str, spec: Spec, media: Sequence[Medium] = ()) -> int:
        """Its vmid. These media come with it."""

    async def remove(self, vmid: int, discarded: Discarded | None = None, media: Collection[UUID] = ()) -> None:
        """Into the trash, or for good (None), with these media."""

    async def alter(self, vmid: int, name: str, spec: Spec) -> None: ...

    async def move(self, vmid: int, gid: int, spec: Spec, media: Collection[UUID]) -> None:
        """To another group, with these media."""

    async def alter_run(self, vmid: int, epoch: int, spec: Spec) -> None:
        """What that run has by now, unless it has ended."""

    async def begin_run(self, vmid: int, wanted: State, spec: Spec, host: HostId) -> int:
        """The epoch of a new run with that specification, one more than the last; the old reason goes.

        It is on that host from then on. That it restarts stays: a crash may come before it has started.
        Raises `Refused` where the host is confirmed dead.
        """

    async def keep_progress(self, vmid: int, progress: RunRecord) -> None:
        """All of it, and only if no run of a higher epoch than `progress.epoch` has begun.

        Of its run only the end is kept: its specification goes.
        """
