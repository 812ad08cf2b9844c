"""The host of VMs and pools, shown only if there are several."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from velocity.contract.placement import HostRef, OnItsWay
from velocity.hypervisor.attached import AttachedHosts
from velocity.hypervisor.port import HostId
from velocity.machines.rules import Machine
from velocity.machines.run.life import Life


def of(hosts: AttachedHosts, host: HostId) -> HostRef:
    return HostRef(id=host, name=hosts.name(host))


def named(hosts: AttachedHosts, host: HostId) -> dict[str, int | str]:
    """Its id and name, as recorded in the history."""
    one = hosts.find(host)
    return {"host": host} if one is None else {"host": host, "name": one.name}


def of_machine(hosts: AttachedHosts, machine: Machine) -> HostRef | UnsetType:
    """UNSET: there is only one host, and it is this one."""
    return of(hosts, machine.host) if hosts.many or machine.host != hosts.own.host else UNSET


def on_its_way(hosts: AttachedHosts, life: Life) -> OnItsWay | UnsetType:
    """UNSET: it is not moving to another host."""
    moving = life.passage.moving
    if moving is None:
        return UNSET
    return OnItsWay(host=of(hosts, moving.to), tid=UNSET if moving.tid is None else moving.tid)


def of_pool(hosts: AttachedHosts, mpid: int) -> HostRef | UnsetType:
    """UNSET: there is only one host, or none declares the pool, or several do."""
    host = hosts.host_of(mpid)
    return UNSET if host is None or not hosts.many or hosts.pool_hosts.is_shared(mpid) else of(hosts, host)


def of_shared_pool(hosts: AttachedHosts, mpid: int) -> list[HostRef] | UnsetType:
    """UNSET: only one host has it."""
    if not hosts.many or not hosts.pool_hosts.is_shared(mpid):
        return UNSET
    return [of(hosts, host) for host in sorted(hosts.pool_hosts.of(mpid))]
