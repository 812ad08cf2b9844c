"""The host as its administrators see it: load, memory, VMs and pools."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import UNSET

from velocity import __version__
from velocity.contract.host import HostInfo, HostPool, UnaskedWriter, UnknownGuest, VmCount
from velocity.contract.machines import State
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.port import HostId, Hosts, Unknown
from velocity.machines.rules import CALL_DEADLINE
from velocity.machines.service import Fleet
from velocity.media.pools import Pools


class Host:
    """One host, with all that it carries."""

    def __init__(self, hosts: Hosts, host: HostId, fleet: Fleet, pools: Pools) -> None:
        self._hosts = hosts
        self._host = host
        self._fleet = fleet
        self._pools = pools

    async def now(self, sees: Callable[[int], bool] = lambda gid: False) -> HostInfo:
        """How it does at this moment. VMs are named only of the groups for which `sees` says so."""
        facts = self._hosts.about(self._host)
        try:
            now = await self._hosts.now(self._host, deadline=CALL_DEADLINE)
        except Unknown as error:
            raise Refused(Problem.UNAVAILABLE, f"{error}: try again later") from None
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
            unknown_guests=[UnknownGuest(one.machine, one.epoch) for one in self._fleet.observer.unknown],
            unasked_writers=self._unasked_writers(sees),
        )

    def _unasked_writers(self, sees: Callable[[int], bool]) -> list[UnaskedWriter]:
        machines = [self._fleet.get(vmid).machine for vmid in sorted(self._fleet.unasked)]
        unasked = self._fleet.builder.writers.unasked
        return [UnaskedWriter(vmid=one.vmid, mid=mid) for one in machines if sees(one.gid) for mid in unasked(one)]
