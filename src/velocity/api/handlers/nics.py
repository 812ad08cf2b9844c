"""The host NICs for BRIDGE."""

from velocity.api.handlers.base import Call, handles
from velocity.contract import nics


@handles(nics.LIST)
async def list_nics(call: Call[nics.ListNics]) -> nics.HostNics:
    return nics.HostNics(
        host_nics=[
            nics.HostNic(nicid=nic.nicid, description=nic.description, identifier=nic.identifier)
            for nic in call.request.page(call.services.nics, key=lambda nic: nic.nicid)
        ]
    )
