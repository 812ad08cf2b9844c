"""What the trash needs of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from velocity.access.rules import Discarded, Group, Limits
from velocity.hypervisor.port import HostId
from velocity.machines.rules import Machine, RunRecord
from velocity.media.rules import Assignment, Medium


@dataclass(frozen=True)
class Item:
    """Something deleted; `deleted` in unix seconds."""

    trid: int
    what: Discarded
    deleted: int


@dataclass(frozen=True)
class Contents:
    """All that it was made of. Groups come parents first."""

    groups: Sequence[Group]
    grants: Sequence[tuple[int, int, int]]
    limits: Mapping[int, Limits]
    assignments: Mapping[tuple[int, int], Assignment]
    media: Sequence[Medium]
    machines: Sequence[tuple[Machine, RunRecord]]


class TrashStore(Protocol):
    """Each call is one transaction; what returns is durable."""

    async def items(self) -> Sequence[Item]:
        """The newest first."""

    async def contents(self, trid: int) -> Contents | None:
        """None: there is no such thing."""

    async def restore(self, trid: int, elsewhere: Mapping[int, HostId]) -> None:
        """Put everything back where it was, but for grants of users that are no more.

        `elsewhere`: VMs that are on another host than before, by their vmids.
        """

    async def purge(self, trid: int) -> None: ...
