"""Attaching a host: its VMs, pools and NICs become known to the areas."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager

from velocity.access.rules import NOTHING, ROOT_GROUP
from velocity.changes import Changes
from velocity.contract.problems import Problem, Refused
from velocity.hosts.attached_disks import AttachedDisks, restarts
from velocity.hosts.port import Death, VmAtStake
from velocity.hosts.shared_pools import SharedPools
from velocity.hypervisor.attached import AttachedHost, AttachedHosts, Duty
from velocity.hypervisor.port import Fact, HostId
from velocity.machines.hosts import where
from velocity.machines.service import Fleet
from velocity.media.reservations import Reservations
from velocity.media.rules import Pool
from velocity.media.states import PoolStates
from velocity.storage.port import Storage


class AttachedAreas:
    """Implements `velocity.hosts.port.Attaching`: the areas of the server learn of each host.

    `pools` are those that can be used, which the areas share. `storage` is that of all hosts, `shared` asks them for
    the pools that several have.
    """

    def __init__(
        self,
        hosts: AttachedHosts,
        pools: dict[int, Pool],
        states: PoolStates,
        fleet: Fleet,
        storage: Storage,
        shared: SharedPools,
        reservations: Reservations,
        changes: Changes,
    ) -> None:
        self.hosts = hosts
        self.storage = storage
        self.shared = shared
        shared.changed = self._shared_changed
        self._pools = pools
        self._states = states
        self._fleet = fleet
        self._reservations = reservations
        self._changes = changes
        self.disks = AttachedDisks(hosts, storage.pools, fleet)
        self._attaching = asyncio.Lock()

    async def attach(self, one: AttachedHost) -> None:
        async with self._attaching:
            before, many, shows = self.hosts.find(one.host), self.hosts.many, self.hosts.put(one)
            self._declare()
            await self._fleet.hosts.attach(one.host)
            self.shared.ask()
            if many is not self.hosts.many:
                self._fleet.hosts.tell_all()
            elif shows:
                self._fleet.hosts.tell(one.host)
            if before is not None and before.duty is Duty.MAINTENANCE and one.duty is not Duty.MAINTENANCE:
                self._fleet.availability.maintenance_ended(self._fleet.hosts.of(one.host).keepers.values())
            self._fleet.availability.hurry()  # what has found no host may have one now

    def expect(self, host: HostId, name: str) -> None:
        self.hosts.absent[host] = name

    def doubt(self, host: HostId, words: str) -> None:
        self._fleet.hosts.doubt(host, words)

    @contextmanager
    def leaving(self, host: HostId) -> Iterator[None]:
        name, pools = self.hosts.called(host), self._only_of(host)
        if self._fleet.claims.given(host) != NOTHING:
            words = f"a VM is on {name}, or on its way there: wait until it is there, then move or delete it"
            raise Refused(Problem.NODE_BUSY, words, field="host")
        names, _ = self._reservations.taken()
        there = {mpid for _, mpid, _ in names} if host not in self.hosts.silent else set()
        if there & pools or any(map(self._reservations.coming, pools)):
            words = f"a medium is in a pool of {name}, or on its way there: wait until it is there, then move it"
            raise Refused(Problem.NODE_BUSY, words, field="host")
        self.hosts.leaving[host] = pools
        self._declare()
        try:
            yield
        finally:
            del self.hosts.leaving[host]
            self._declare()

    def _only_of(self, host: HostId) -> set[int]:
        """The pools that no other host declares."""
        declared = {one.host: {pool.mpid for pool in one.pools} for one in self.hosts.all()}
        return declared.pop(host, set()).difference(*declared.values())

    async def detach(self, host: HostId) -> None:
        async with self._attaching:
            if self.hosts.find(host) is None:
                return
            self.hosts.remove(host)
            self._declare()
            await self._fleet.hosts.detach(host)
            if not self.hosts.many:
                self._fleet.hosts.tell_all()
            self._fleet.evacuation.evacuated.removed(host)

    @property
    def silent(self) -> Mapping[HostId, int]:
        return self.hosts.silent

    @property
    def ahead(self) -> MutableMapping[HostId, int]:
        return self.hosts.ahead

    @property
    def deaths(self) -> Mapping[HostId, Death]:
        return self._fleet.evacuation.evacuated.dead

    def at_stake(self, host: HostId) -> list[VmAtStake]:
        """Includes VMs that were handed over to it: they run nowhere while it is silent."""
        watched = self._fleet.hosts.by_id.get(host)
        runs = [] if watched is None else [one for one in watched.keepers.values() if one.lives]
        runs += [one for one in self._fleet.all() if one.passage.awaits(host) and one.observed is Fact.HANDED]
        return [
            VmAtStake(one.machine.vmid, one.machine.name, one.gid, restarts(one))
            for one in sorted(runs, key=lambda one: one.machine.vmid)
        ]

    async def confirm_dead(self, host: HostId, by: str) -> None:
        await self._fleet.evacuation.confirm(host, by)

    def noted(self, did: str, host: HostId) -> None:
        self._fleet.noted(did, where.named(self.hosts, host))

    async def close(self) -> None:
        """Close the ports. The machines on the hosts keep running."""
        await self.shared.close()
        await self.storage.close()

    def _declare(self) -> None:
        offered = self.hosts.pools()
        for gone in self._pools.keys() - offered.keys():
            del self._pools[gone]
            self._states.drop(gone)
        for mpid, pool in offered.items():
            if mpid not in self._pools:
                self._tell(mpid)
            self._pools[mpid] = Pool(mpid, pool.name)
            self._states.put(mpid)

    def _shared_changed(self, mpid: int) -> None:
        self._tell(mpid)
        self._fleet.availability.hurry()

    def _tell(self, mpid: int) -> None:
        """Announce that the host is shown differently."""
        self._changes.note_change("assignment", (ROOT_GROUP, mpid), ROOT_GROUP)
