"""The host as its administrators see it: CPUs, memory, VMs, pools, and what ends."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec import UNSET

from velocity import __version__
from velocity.contract.host import HostInfo, HostPool, UnaskedWriter, UnknownGuest, VmCount
from velocity.contract.machines import State
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.port import HostId, Hosts, HypervisorError, Unknown
from velocity.machines.rules import CALL_DEADLINE
from velocity.machines.service import Fleet
from velocity.media.pools import Pools


class Host:
    """One host, with all that it carries."""

    def __init__(
        self,
        hosts: Hosts,
        host: HostId,
        fleet: Fleet,
        pools: Pools,
        *,
        certificate_expires: Callable[[], int | None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._certificate_expires = certificate_expires
        self._monotonic = monotonic
        self._sampled: tuple[float, float] | None = None
        """When the host was measured last (monotonic seconds), and how long its CPUs had computed then."""
        self._cpu_use: float | None = None
        self._hosts = hosts
        self._host = host
        self._fleet = fleet
        self._pools = pools

    async def sample(self) -> None:
        """Measure how busy its CPUs were since the last time. Never raises."""
        try:
            now = await self._hosts.now(self._host, deadline=CALL_DEADLINE)
        except HypervisorError:
            self._sampled = self._cpu_use = None
            return
        at, before = self._monotonic(), self._sampled
        self._sampled, self._cpu_use = (at, now.busy), None
        if before is not None and at > before[0] and now.busy >= before[1]:
            self._cpu_use = min(100.0, 100 * (now.busy - before[1]) / (at - before[0]) / now.cpus)

    async def now(self, sees: Callable[[int], bool] = lambda gid: False) -> HostInfo:
        """How it does at this moment. VMs are named only of the groups for which `sees` says so."""
        facts = self._hosts.about(self._host)
        try:
            now = await self._hosts.now(self._host, deadline=CALL_DEADLINE)
        except Unknown as error:
            raise Refused(Problem.UNAVAILABLE, f"{error}: try again later") from None
        expires, unknown = self._certificate_expires(), self._fleet.hosts.unknown_guests(self._host)
        states = [keeper.state for keeper in self._fleet.all()]
        return HostInfo(
            name=now.name,
            version=__version__,
            cpus=now.cpus,
            load=list(now.load),
            memory_mib=now.memory,
            memory_free_mib=now.memory_free,
            uptime=now.uptime,
            hypervisor=facts.hypervisor,
            accelerator=facts.accelerator,
            accelerator_reason=facts.accelerator_reason,
            vms=VmCount(running=sum(state is not State.STOPPED for state in states), total=len(states)),
            pools=[
                HostPool(
                    mpid=one.pool.mpid,
                    name=one.pool.name,
                    size=one.size,
                    free=one.free,
                    declared=one.declared,
                    allocated=one.allocated,
                    state=one.now.state,
                    message=one.now.message or UNSET,
                )
                for one in await self._pools.occupied()
            ],
            unknown_guests=[UnknownGuest(one.machine, one.epoch) for one in unknown],
            unasked_writers=self._unasked_writers(sees),
            cpu_use=UNSET if self._cpu_use is None else round(self._cpu_use, 1),
            certificate_expires=UNSET if expires is None else expires,
        )

    def _unasked_writers(self, sees: Callable[[int], bool]) -> list[UnaskedWriter]:
        machines = [self._fleet.get(vmid).machine for vmid in sorted(self._fleet.unasked)]
        unasked = self._fleet.builder.writers.unasked
        return [UnaskedWriter(vmid=one.vmid, mid=mid) for one in machines if sees(one.gid) for mid in unasked(one)]
