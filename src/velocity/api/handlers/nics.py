"""The host NICs that VMs can be bridged to."""

from collections.abc import Iterator

from msgspec import UNSET, UnsetType

from velocity.api.handlers.base import Call, Services, handles
from velocity.contract import nics
from velocity.contract.placement import HostRef
from velocity.machines.hosts import where


@handles(nics.LIST)
async def list_nics(call: Call[nics.ListNics]) -> nics.HostNics:
    return nics.HostNics(host_nics=call.request.page(_all(call.services), key=lambda nic: nic.nicid))


def _all(services: Services) -> Iterator[nics.HostNic]:
    """All of them. The settings describe those of the server's own host; other hosts' have an identifier only."""
    attached = services.fleet.hosts.attached
    for nic in services.nics:
        yield nics.HostNic(
            nicid=nic.nicid, description=nic.description, identifier=nic.identifier, hosts=_hosts(services, nic.nicid)
        )
    told = {nic.nicid for nic in services.nics}
    for host in attached.all():
        for nicid, identifier in host.nics.items():
            if nicid not in told:
                told.add(nicid)
                yield nics.HostNic(nicid=nicid, description="", identifier=identifier, hosts=_hosts(services, nicid))


def _hosts(services: Services, nicid: int) -> list[HostRef] | UnsetType:
    hosts = services.fleet.hosts.attached
    if not hosts.many:
        return UNSET
    return [where.of(hosts, one.host) for one in hosts.all() if nicid in one.nics]
