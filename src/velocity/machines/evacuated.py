"""Which hosts are confirmed dead or blocklisted, and which runs ended by that."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from velocity.contract.machines import Reason
from velocity.hypervisor.port import HostId, Incarnation

HOST_LOST = "host-lost"
"""The cause of a VM's being STOPPED because its host was confirmed dead, or kept from its disks."""


@dataclass(frozen=True)
class Death:
    """When a host was confirmed dead, in Unix seconds, and by whom or what, for people."""

    at: int
    by: str


class Blocklisting(Struct, frozen=True):
    """That a host's clients are to be on the blocklists of these pools: by which addresses, since when, and by whom."""

    at: int
    by: str
    addresses: dict[int, tuple[str, ...]]


@dataclass(frozen=True)
class Losses:
    """All that is kept: the hosts that are dead now, and of each machine the last run that is over on a host."""

    deaths: Mapping[HostId, Death]
    over: Mapping[tuple[HostId, UUID], int]
    blocklisted: Mapping[HostId, Blocklisting]


class LossStore(Protocol):
    """Each call is one transaction; what returns is durable."""

    def load(self) -> Losses: ...

    async def confirm(self, host: HostId, death: Death, reason: Reason) -> Mapping[UUID, int]:
        """It is dead, and its VMs' runs are over, each up to the epoch that is returned.

        Those that were to run are STOPPED for that reason. No run begins on that host any more.
        """

    async def returned(self, host: HostId) -> None:
        """It is dead no more. What is over there stays so."""

    async def blocklist(self, host: HostId, blocklisting: Blocklisting) -> None:
        """Its clients are about to be. No run begins on that host any more."""

    async def confirm_some(
        self, host: HostId, machines: Collection[UUID], at: int, reason: Reason
    ) -> Mapping[UUID, int]:
        """The runs of these there are over: see `confirm`."""

    async def unblocked(self, host: HostId) -> None:
        """Its clients are not any more. What is over there stays so."""


class Evacuated:
    """What of it is in memory, for everybody who asks whether a run may be believed.

    That a run is over on a host stays true: a later one has a higher epoch. So nothing of it is ever forgotten but
    with the host.
    """

    def __init__(self, store: LossStore) -> None:
        self._store = store
        self.dead: dict[HostId, Death] = {}
        self.blocklisted: dict[HostId, Blocklisting] = {}
        self._over: dict[tuple[HostId, UUID], int] = {}

    def open(self) -> None:
        losses = self._store.load()
        self.dead = dict(losses.deaths)
        self.blocklisted = dict(losses.blocklisted)
        self._over = dict(losses.over)

    def is_dead(self, host: HostId) -> bool:
        return host in self.dead

    def is_over(self, who: Incarnation) -> bool:
        """Whether that run was on a host that was confirmed dead, or kept from its disks, since it began."""
        return who.epoch <= self._over.get((who.host, who.machine), -1)

    def is_gone(self, who: Incarnation) -> bool:
        """The same, and of any run on a host that is dead now: also of one that was just coming from another host."""
        return who.host in self.dead or self.is_over(who)

    def is_freed(self, who: Incarnation) -> bool:
        """Whether its machine may be started on another host, as that one cannot be asked."""
        return who.host in self.dead or (who.host in self.blocklisted and self.is_over(who))

    async def confirm(self, host: HostId, death: Death, reason: Reason) -> None:
        """Write it down: it holds from then on. Raises `Refused`, and then nothing has changed."""
        runs = await self._store.confirm(host, death, reason)
        self._over |= {(host, machine): epoch for machine, epoch in runs.items()}
        self.dead[host] = death

    async def returned(self, host: HostId) -> None:
        """It answers again, and what is over there has ended. Raises `Refused`, and then it stays dead."""
        await self._store.returned(host)
        self.dead.pop(host, None)

    async def blocklist(self, host: HostId, blocklisting: Blocklisting) -> None:
        """Write it down, before it is done. Raises `Refused`, and then nothing has changed."""
        await self._store.blocklist(host, blocklisting)
        self.blocklisted[host] = blocklisting

    async def confirm_some(self, host: HostId, machines: Collection[UUID], at: int, reason: Reason) -> None:
        """The same as `confirm`, of these machines alone."""
        runs = await self._store.confirm_some(host, machines, at, reason)
        self._over |= {(host, machine): epoch for machine, epoch in runs.items()}

    async def unblocked(self, host: HostId) -> None:
        """Raises `Refused`, and then it is taken for blocklisted still."""
        await self._store.unblocked(host)
        self.blocklisted.pop(host, None)

    def removed(self, host: HostId) -> None:
        """The host is no more, and its number is given to no other."""
        self.dead.pop(host, None)
        self.blocklisted.pop(host, None)
        self._over = {key: epoch for key, epoch in self._over.items() if key[0] != host}
