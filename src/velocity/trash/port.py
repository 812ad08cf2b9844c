"""What the trash needs of the store."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from msgspec import Struct

from velocity.access.rules import Discarded, Group, Limits
from velocity.hypervisor.port import HostId
from velocity.machines.rules import Machine, RunRecord
from velocity.media.rules import Assignment, Medium


@dataclass(frozen=True)
class Item:
    """A deleted object; `deleted` is in Unix seconds. `disks`: in lists, the names of those deleted with a VM."""

    trid: int
    what: Discarded
    deleted: int
    disks: Sequence[str] = ()


class Contents(Struct, frozen=True):
    """Everything that belonged to it. Groups come parents first."""

    groups: Sequence[Group]
    grants: Sequence[tuple[int, int, int]]
    limits: Mapping[int, Limits]
    assignments: Mapping[tuple[int, int], Assignment]
    media: Sequence[Medium]
    machines: Sequence[tuple[Machine, RunRecord]]


class TrashStore(Protocol):
    """Each call is one transaction, durable when it returns."""

    async def items(self) -> Sequence[Item]:
        """The newest first."""

    async def disks(self, trids: Collection[int]) -> Mapping[int, Sequence[str]]:
        """The names of the media in each of these."""

    async def contents(self, trid: int) -> Contents | None:
        """None: it does not exist."""

    async def restore(self, trid: int, elsewhere: Mapping[int, HostId]) -> None:
        """Restore everything, except grants of users who no longer exist.

        `elsewhere`: VMs that are restored on another host, by vmid.
        """

    async def purge(self, trid: int) -> bool:
        """Whether there was such a thing."""
