"""The hosts of the fleet: each with an observer, the context of its keepers, and the figures for placement."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from velocity.access.rules import Amount
from velocity.hypervisor.attached import AttachedHosts
from velocity.hypervisor.port import HostId, Hosts, Incarnation, Stop, Unknown
from velocity.machines.hosts.evacuated import HOST_LOST, Evacuated
from velocity.machines.placement.rules import Candidate
from velocity.machines.rules import CALL_DEADLINE, Machine, RunRecord
from velocity.machines.run.keeper import Keeper
from velocity.machines.run.life import KeeperContext
from velocity.machines.run.observer import Observer


@dataclass
class WatchedHost:
    """One host. `keepers` are its VMs, by their vmids."""

    host: HostId
    observer: Observer
    context: KeeperContext
    keepers: dict[int, Keeper]
    welcomed: bool = False
    """It has responded, and leftovers of a crash have been removed."""


class WatchedHosts:
    """The attached hosts, and others that VMs are on.

    `make` begins to watch one; `heard` is called when one responds for the first time; `given` says what its VMs have
    been given; `changed` announces a VM that is shown differently.
    """

    def __init__(
        self,
        attached: AttachedHosts,
        about: Hosts,
        evacuated: Evacuated,
        make: Callable[[HostId], WatchedHost],
        heard: Callable[[WatchedHost], Awaitable[None]],
        given: Callable[[HostId], Amount],
        changed: Callable[[Machine], None],
        clock: Callable[[], float],
    ) -> None:
        self.attached = attached
        self._about = about
        self._evacuated = evacuated
        self._make = make
        self._heard = heard
        self._given = given
        self._changed = changed
        self._clock = clock
        self.by_id: dict[HostId, WatchedHost] = {}
        self._opened = False

    def of(self, host: HostId) -> WatchedHost:
        watched = self.by_id.get(host)
        if watched is None:
            watched = self.by_id[host] = self._make(host)
        return watched

    def keeper(self, machine: Machine, progress: RunRecord) -> Keeper:
        """For a VM that is being added."""
        watched = self.by_id.get(machine.host) or self.of(machine.host)
        return Keeper(watched.context, machine, progress)

    async def end_what_is_over(self, who: Incarnation) -> None:
        """End these runs on a host that does not count as responding yet. Raises `HypervisorError`."""
        one = self.attached.by_id.get(who.host)
        if one is None:
            raise Unknown(f"host {who.host} is not attached")
        await one.hypervisor.machines.stop(who, Stop.NOW, deadline=CALL_DEADLINE)

    # Hosts that come and go

    async def open(self) -> None:
        """Learn what runs on each host that responds in time, and keep watching them."""
        self._opened = True
        for one in self.attached.all():
            self.of(one.host)
        await asyncio.gather(*map(self._watch, list(self.by_id.values())))

    async def _watch(self, watched: WatchedHost) -> None:
        await watched.observer.open()
        if not watched.observer.lost:
            await self.welcome(watched.host)

    async def welcome(self, host: HostId) -> None:
        """A host responds for the first time, or again."""
        watched = self.of(host)
        if not watched.welcomed:
            watched.welcomed = True
            await self._heard(watched)

    async def attach(self, host: HostId) -> None:
        """A host is attached, perhaps a new one."""
        if self._opened and host not in self.by_id:
            await self._watch(self.of(host))

    def doubt(self, host: HostId, words: str) -> None:
        """A host did not respond to another caller: its connections may be dead."""
        if (watched := self.by_id.get(host)) is not None:
            watched.observer.doubt(words)

    async def detach(self, host: HostId) -> None:
        """A host is removed. If it has VMs, they are shown as unreachable."""
        if (watched := self.by_id.get(host)) is not None and not watched.keepers:
            del self.by_id[host]
            self.attached.silent.pop(host, None)
            await watched.observer.close()

    def tell_all(self) -> None:
        """There are several hosts now, or only one again: VMs show theirs if there are several."""
        for host in self.by_id:
            self.tell(host)

    def tell(self, host: HostId) -> None:
        """Its VMs show their host differently."""
        watched = self.by_id.get(host)
        for keeper in watched.keepers.values() if watched else ():
            self._changed(keeper.machine)

    def lost(self, host: HostId) -> None:
        self.attached.silent[host] = int(self._clock())

    def back(self, host: HostId) -> list[Keeper]:
        """A host responds again. Returns its VMs that ended meanwhile, unless it is our own host."""
        since = self.attached.silent.pop(host, None)
        if since is None or host == self.attached.own.host:
            return []
        return [one for one in self.of(host).keepers.values() if _restarted(one, since)]

    async def close(self) -> None:
        """Stop watching; machines keep running."""
        await asyncio.gather(*(watched.observer.close() for watched in self.by_id.values()))

    # Placement

    def candidates(self) -> list[Candidate]:
        """The candidates for placing a VM."""
        return [
            Candidate(
                host=one.host,
                name=one.name,
                duty=one.duty,
                answers=one.host not in self.attached.silent,
                facts=self._about.about(one.host),
                given=self._given(one.host).memory_mib,
                nics=one.nics,
                pools=self.attached.pools_of(one.host),
                labels=one.labels,
                lost=self._evacuated.how_lost(one.host),
            )
            for one in self.attached.all()
            if one.host not in self.attached.leaving
        ]


def _restarted(keeper: Keeper, since: int) -> bool:
    reason = keeper.progress.reason
    return reason is not None and reason.cause in ("host-restarted", HOST_LOST) and reason.since >= since
