"""Route 34: the hypervisor command line of a running virtual machine."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from velocity.contract.fields import Vmid
from velocity.contract.machines import VmRequest
from velocity.contract.operation import Failure, Hides, Holds, Method, On, Operation, Wire
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem


class VmCommand(Wire, frozen=True):
    vmid: Vmid
    argv: Annotated[
        list[str],
        Meta(
            description="the program and its arguments, read back from the process; DATA and RUN stand for "
            "directories of the server"
        ),
    ]


VM = Operation(
    name="vm_command",
    summary="Show the command line that a virtual machine runs with; media appear as open descriptors, not as paths",
    method=Method.POST,
    path="/v/vm/command",
    route=34,
    request=VmRequest,
    response=VmCommand,
    needs=Holds(Permission.VM_VIEW, On.VM, Hides.STRANGERS),
    failures=(
        Failure(34100, 403, Problem.NO_PERMISSION, "velocity.vm.view is needed on the VM's group"),
        Failure(34110, 404, Problem.VM_NOT_FOUND, "no such VM, or not visible to the caller"),
        Failure(34120, 406, Problem.VM_STOPPED, "the VM is STOPPED"),
    ),
    ours=True,
)

OPERATIONS = (VM,)
