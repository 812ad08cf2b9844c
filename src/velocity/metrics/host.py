"""The hosts as administrators see them: CPUs, memory, VMs, pools, and expiry dates."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from msgspec import UNSET, UnsetType

from velocity import __version__
from velocity.contract.hosts import HostInfo, HostPool, HostSummary, UnaskedWriter, UnknownGuest, VmCount
from velocity.contract.machines import State
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.attached import AttachedHost
from velocity.hypervisor.port import HostId, Hosts, HypervisorError, Unknown
from velocity.machines.rules import CALL_DEADLINE
from velocity.machines.service import Fleet
from velocity.media.pools import Pools

ELSEWHERE = 2.0
"""Seconds that another host has to respond."""


class Host:
    """Each host, with its VMs and pools."""

    def __init__(
        self,
        hosts: Hosts,
        fleet: Fleet,
        pools: Pools,
        data_dir: Path,
        *,
        certificate_expires: Callable[[], int | None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.data_dir = data_dir
        """The server's data directory."""
        self._certificate_expires = certificate_expires
        self._monotonic = monotonic
        self._sampled: dict[HostId, tuple[float, float]] = {}
        """The last measurement of each host: when (monotonic seconds), and its CPUs' busy time by then."""
        self._cpu_use: dict[HostId, float] = {}
        self._hosts = hosts
        self._fleet = fleet
        self._attached = fleet.hosts.attached
        self._pools = pools

    async def sample(self) -> None:
        """Measure how busy each host's CPUs have been since the last call. Never raises."""
        await asyncio.gather(*(self._sample(one.host) for one in self._attached.all()))

    async def _sample(self, host: HostId) -> None:
        before = self._sampled.pop(host, None)
        self._cpu_use.pop(host, None)
        try:
            now = await self._hosts.now(host, deadline=self._deadline(host))
        except HypervisorError:
            return
        at = self._monotonic()
        self._sampled[host] = (at, now.busy)
        if before is not None and at > before[0] and now.busy >= before[1]:
            self._cpu_use[host] = min(100.0, 100 * (now.busy - before[1]) / (at - before[0]) / now.cpus)

    def _deadline(self, host: HostId) -> float:
        """A request about all hosts, as Prometheus sends, waits for one only until that counts as silent."""
        return CALL_DEADLINE if host == self._attached.own.host else ELSEWHERE

    async def all(self) -> list[tuple[AttachedHost, HostInfo | None]]:
        """Each host's figures; None if it does not respond."""
        hosts = self._attached.all()
        answers = await asyncio.gather(*(self.now(host=one.host) for one in hosts), return_exceptions=True)
        return [
            (one, None if isinstance(answer, Refused) else _raised(answer))
            for one, answer in zip(hosts, answers, strict=True)
        ]

    async def now(self, sees: Callable[[int], bool] = lambda gid: False, host: int | None = None) -> HostInfo:
        """A host's present figures. VMs are named only in groups for which `sees` is true. Raises `Refused`."""
        one = self._attached.own if host is None else self._attached.find(host)
        if one is None:
            raise Refused(Problem.HOST_NOT_FOUND, f"there is no host {host}", field="host")
        facts = self._hosts.about(one.host)
        try:
            now = await self._hosts.now(one.host, deadline=self._deadline(one.host))
        except Unknown as error:
            words = f"{self._attached.silence(one.host) or error}: try again later"
            raise Refused(Problem.UNAVAILABLE, words) from None
        expires = self._certificate_expires()
        unknown = self._fleet.hosts.of(one.host).observer.unknown
        return HostInfo(
            name=one.name,
            version=one.version or __version__,
            cpus=now.cpus,
            load=list(now.load),
            memory_mib=now.memory,
            memory_free_mib=now.memory_free,
            uptime=now.uptime,
            hypervisor=facts.hypervisor,
            accelerator=facts.accelerator,
            accelerator_reason=facts.accelerator_reason,
            vms=self._count(one.host),
            pools=await self._pools_of(one),
            unknown_guests=[UnknownGuest(run.machine, run.epoch) for run in unknown],
            unasked_writers=self._unasked_writers(sees),
            cpu_use=self._use(one.host),
            certificate_expires=UNSET if expires is None else expires,
            hosts=[self._summary(other) for other in self._attached.all()] if self._attached.many else UNSET,
        )

    def _count(self, host: HostId) -> VmCount:
        states = [keeper.state for keeper in self._fleet.hosts.of(host).keepers.values()]
        return VmCount(running=sum(state is not State.STOPPED for state in states), total=len(states))

    async def _pools_of(self, one: AttachedHost) -> list[HostPool]:
        occupied = [
            HostPool(
                mpid=each.pool.mpid,
                name=each.pool.name,
                size=each.size,
                free=each.free,
                declared=each.declared,
                allocated=each.allocated,
                state=each.now.state,
                message=each.now.message or UNSET,
                shared=self._attached.pool_hosts.is_shared(each.pool.mpid) or UNSET,
            )
            for each in await self._pools.occupied(self._attached.pools_of(one.host))
        ]
        names, conflicts = {pool.mpid: pool.name for pool in one.pools}, self._attached.conflicts(one.host)
        unusable = [
            HostPool(mpid=mpid, name=names[mpid], size=0, free=0, declared=0, allocated=0, state="away", message=words)
            for mpid, words in conflicts.items()
        ]
        return [*occupied, *unusable]

    def _summary(self, one: AttachedHost) -> HostSummary:
        death = self._fleet.evacuation.evacuated.dead.get(one.host)
        return HostSummary(
            id=one.host,
            name=one.name,
            duty=one.duty.value,
            vms=self._count(one.host),
            memory_mib=self._hosts.about(one.host).memory,
            memory_given_mib=self._fleet.claims.given(one.host).memory_mib,
            unreachable_since=self._attached.silent.get(one.host, UNSET),
            dead_since=UNSET if death is None else death.at,
            clock_ahead=self._attached.ahead.get(one.host, UNSET),
            cpu_use=self._use(one.host),
        )

    def _use(self, host: HostId) -> float | UnsetType:
        """Percent of its CPUs, as measured last."""
        use = self._cpu_use.get(host)
        return UNSET if use is None else round(use, 1)

    def _unasked_writers(self, sees: Callable[[int], bool]) -> list[UnaskedWriter]:
        machines = [self._fleet.get(vmid).machine for vmid in sorted(self._fleet.unasked)]
        unasked = self._fleet.builder.writers.unasked
        return [UnaskedWriter(vmid=one.vmid, mid=mid) for one in machines if sees(one.gid) for mid in unasked(one)]


def _raised(answer: HostInfo | BaseException) -> HostInfo:
    if isinstance(answer, BaseException):
        raise answer
    return answer
