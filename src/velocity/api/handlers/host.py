"""The host: its load, memory, pools and hypervisor."""

from velocity.api.handlers.base import Call, handles
from velocity.contract import host
from velocity.contract.operation import Nothing
from velocity.contract.permissions import Permission


@handles(host.SHOW)
async def show_host(call: Call[Nothing]) -> host.HostInfo:
    return await call.services.host.now(call.services.directory.holding(call.caller.uid, Permission.VM_VIEW))
