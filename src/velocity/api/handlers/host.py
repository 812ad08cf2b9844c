"""A host: its load, memory, pools and hypervisor."""

from msgspec import UNSET

from velocity.api.handlers.base import Call, handles
from velocity.contract import hosts
from velocity.contract.permissions import Permission


@handles(hosts.SHOW)
async def show_host(call: Call[hosts.ShowHost]) -> hosts.HostInfo:
    sees = call.services.directory.holding(call.caller.uid, Permission.VM_VIEW)
    return await call.services.host.now(sees, None if call.request.host is UNSET else call.request.host)
