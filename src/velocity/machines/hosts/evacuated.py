"""Which hosts are confirmed dead or blocklisted, and which runs have ended because of that."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from velocity.contract.machines import Reason
from velocity.hypervisor.port import HostId, Incarnation

HOST_LOST = "host-lost"
"""The reason's cause if a VM is STOPPED because its host was confirmed dead, or blocklisted."""


class Death(Struct, frozen=True):
    """When a host was confirmed dead, in Unix seconds, and by whom or what."""

    at: int
    by: str


class Blocklisting(Struct, frozen=True):
    """A host's clients should be on the blocklists of these pools: with which addresses, since when, and by whom."""

    at: int
    by: str
    addresses: dict[int, tuple[str, ...]]


class Losses(Struct, frozen=True):
    """Everything stored: the dead hosts, and for each machine and host the last run that has ended because of that."""

    deaths: Mapping[HostId, Death]
    over: Mapping[tuple[HostId, UUID], int]
    blocklisted: Mapping[HostId, Blocklisting]


class LossStore(Protocol):
    """Each call is one transaction, durable when it returns."""

    def load(self) -> Losses: ...

    async def confirm(self, host: HostId, death: Death, reason: Reason) -> Mapping[UUID, int]:
        """The host is dead, and its VMs' runs have ended, up to the returned epochs.

        VMs that were to run are STOPPED for this reason. No run can begin on this host any more.
        """

    async def returned(self, host: HostId) -> None:
        """The host is not dead any more. Runs that have ended because of that stay ended."""

    async def blocklist(self, host: HostId, blocklisting: Blocklisting) -> None:
        """Its clients are about to be blocklisted. No run can begin on this host any more."""

    async def confirm_some(
        self, host: HostId, machines: Collection[UUID], at: int, reason: Reason
    ) -> Mapping[UUID, int]:
        """The runs of these machines on the host have ended: see `confirm`."""

    async def off_blocklists(self, host: HostId) -> None:
        """Its clients are not blocklisted any more. Runs that have ended because of that stay ended."""


class Evacuated:
    """The same in memory, for all who ask whether a run still counts.

    An ended run stays ended, as later ones have higher epochs. So entries are forgotten only with their host.
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

    def how_lost(self, host: HostId) -> str:
        """How it was lost, in words whose subject it is; empty: it was not, or has been taken back since."""
        if host in self.dead:
            return "was confirmed dead"
        return "was blocklisted on Ceph" if host in self.blocklisted else ""

    def is_over(self, who: Incarnation) -> bool:
        """Whether the run was on a host that was confirmed dead, or blocklisted, after it had begun."""
        return who.epoch <= self._over.get((who.host, who.machine), -1)

    def is_gone(self, who: Incarnation) -> bool:
        """The same, and any run on a host that is dead now, even one that was just moving there."""
        return who.host in self.dead or self.is_over(who)

    def is_freed(self, who: Incarnation) -> bool:
        """Whether its machine may be started on another host, without asking this one."""
        return who.host in self.dead or (who.host in self.blocklisted and self.is_over(who))

    async def confirm(self, host: HostId, death: Death, reason: Reason) -> None:
        """Store it; it counts from then on. Raises `Refused`, and has then changed nothing."""
        runs = await self._store.confirm(host, death, reason)
        self._over |= {(host, machine): epoch for machine, epoch in runs.items()}
        self.dead[host] = death

    async def returned(self, host: HostId) -> None:
        """The host responds again, and runs that had ended were ended there. Raises `Refused`; then it stays dead."""
        await self._store.returned(host)
        self.dead.pop(host, None)

    async def blocklist(self, host: HostId, blocklisting: Blocklisting) -> None:
        """Store it before it is done. Raises `Refused`, and has then changed nothing."""
        await self._store.blocklist(host, blocklisting)
        self.blocklisted[host] = blocklisting

    async def confirm_some(self, host: HostId, machines: Collection[UUID], at: int, reason: Reason) -> None:
        """As `confirm`, for these machines only."""
        runs = await self._store.confirm_some(host, machines, at, reason)
        self._over |= {(host, machine): epoch for machine, epoch in runs.items()}

    async def off_blocklists(self, host: HostId) -> None:
        """Raises `Refused`; then it still counts as blocklisted."""
        await self._store.off_blocklists(host)
        self.blocklisted.pop(host, None)

    def removed(self, host: HostId) -> None:
        """The host was removed; its id is not given to another one."""
        self.dead.pop(host, None)
        self.blocklisted.pop(host, None)
        self._over = {key: epoch for key, epoch in self._over.items() if key[0] != host}
