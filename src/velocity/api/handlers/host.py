"""A host: its load, memory, pools and hypervisor."""

from msgspec import UNSET
from msgspec.structs import replace

from velocity.access.rules import ROOT_GROUP
from velocity.api.handlers.base import Call, handles
from velocity.contract import hosts
from velocity.contract.permissions import Permission


@handles(hosts.SHOW)
async def show_host(call: Call[hosts.ShowHost]) -> hosts.HostInfo:
    services, uid = call.services, call.caller.uid
    sees = services.directory.holding(uid, Permission.VM_VIEW)
    if call.request.host is not UNSET:
        return await services.host.now(sees, call.request.host)
    own = await services.host.now(sees)
    manages = services.directory.holding(uid, Permission.NODE_MANAGE)(ROOT_GROUP)
    return replace(own, data_dir=str(services.host.data_dir)) if manages else own
