"""Route 53: the reset of a virtual machine that runs, as by the button on a computer's case."""

from __future__ import annotations

from velocity.contract.fields import Vmid
from velocity.contract.machines import VmState
from velocity.contract.operation import Change, Failure, Hides, Holds, Method, On, Operation
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem


class ResetVm(Change, frozen=True):
    vmid: Vmid


RESET = Operation(
    name="reset_vm",
    summary="Reset a virtual machine at once, in the same run, without asking its guest",
    method=Method.PUT,
    path="/v/vm/reset",
    route=53,
    request=ResetVm,
    response=VmState,
    needs=Holds(Permission.VM_STATE, On.VM, Hides.STRANGERS),
    failures=(
        Failure(53200, 403, Problem.NO_PERMISSION, "velocity.vm.state is needed on the VM's group"),
        Failure(53210, 404, Problem.VM_NOT_FOUND, "no such VM, or not visible to the caller"),
        Failure(53220, 406, Problem.NOT_FROM_THIS_STATE, "the VM is neither RUNNING nor PAUSED"),
        Failure(53230, 500, Problem.HYPERVISOR, "the hypervisor failed; the message has its own words"),
    ),
    ours=True,
)

OPERATIONS = (RESET,)
