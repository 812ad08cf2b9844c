"""The hypervisor command line of a VM."""

from velocity.api.handlers.base import Call, handles
from velocity.contract import command
from velocity.contract.machines import VmRequest


@handles(command.VM)
async def vm_command(call: Call[VmRequest]) -> command.VmCommand:
    fleet = call.services.fleet
    argv = await fleet.command(fleet.get(call.request.vmid))
    return command.VmCommand(vmid=call.request.vmid, argv=list(argv))
