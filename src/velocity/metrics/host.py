"""The host as its administrators see it: load, memory, VMs and pools."""

from __future__ import annotations

from msgspec import UNSET

from velocity import __version__
from velocity.contract.host import HostInfo, HostPool, UnknownGuest, VmCount
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

    async def now(self) -> HostInfo:
        """How it does at this moment."""
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
        )
