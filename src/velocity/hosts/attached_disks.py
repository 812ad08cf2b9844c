"""What the VMs of the attached hosts may write to, and which hosts are blocklisted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from velocity.contract.machines import State
from velocity.hosts.port import Blocklisting, VmWrites
from velocity.hypervisor.attached import AttachedHosts
from velocity.hypervisor.port import HostId
from velocity.machines.run.keeper import Keeper
from velocity.machines.service import Fleet
from velocity.storage.port import Pools

GIVE_UP = 20.0
"""Seconds that a host has to release what VMs that have ended were writing to."""


def restarts(keeper: Keeper) -> bool:
    """Whether this VM is to be restarted elsewhere when its host is lost."""
    return keeper.machine.spec.ha == "restart" and keeper.progress.requested is State.RUNNING


class AttachedDisks:
    """Implements `velocity.hosts.port.KeptDisks`."""

    def __init__(self, hosts: AttachedHosts, pools: Pools, fleet: Fleet) -> None:
        self._hosts = hosts
        self.pools = pools
        self._fleet = fleet

    @property
    def clients(self) -> Mapping[HostId, Mapping[int, tuple[str, ...]]]:
        return self._hosts.clients

    @property
    def blocklisted(self) -> Mapping[HostId, Blocklisting]:
        return self._fleet.evacuation.evacuated.blocklisted

    def writes(self, host: HostId) -> list[VmWrites]:
        watched = self._fleet.hosts.by_id.get(host)
        freed = self._fleet.evacuation.evacuated.is_freed
        return [self._writes(one) for one in (watched.keepers.values() if watched else ()) if not freed(one.who)]

    def _writes(self, keeper: Keeper) -> VmWrites:
        machine, run = keeper.machine, keeper.progress.run
        mids = {*self._fleet.claims.writable(machine.uuid), *(keeper.written or ())}
        objects, obstacle = self._fleet.builder.reach.refs(mids), ""
        if len(objects) < len(mids):
            obstacle = "one of its disks is not known"
        elif keeper.passage.moving is not None:
            obstacle = "it is on its way from one host to another"
        elif run is not None and run.mirrored:
            obstacle = "one of its disks was being copied"
        return VmWrites(
            machine.uuid, machine.name, machine.vmid, keeper.gid, keeper.lives,
            keeper.lives and restarts(keeper), objects, obstacle,
        )  # fmt: skip

    async def blocklist(self, host: HostId, blocklisting: Blocklisting) -> None:
        await self._fleet.evacuation.evacuated.blocklist(host, blocklisting)

    async def confirm_some(self, host: HostId, machines: Collection[UUID], by: str) -> None:
        await self._fleet.evacuation.confirm_some(host, machines, by)

    def answers(self, host: HostId) -> bool:
        watched = self._fleet.hosts.by_id.get(host)
        return watched is not None and watched.welcomed and not watched.observer.lost

    async def give_up(self, host: HostId, mpid: int) -> None:
        await self._hosts.by_id[host].storage.pools.give_up(mpid, deadline=GIVE_UP)

    async def off_blocklists(self, host: HostId) -> None:
        await self._fleet.evacuation.evacuated.off_blocklists(host)
        self._fleet.availability.hurry()
