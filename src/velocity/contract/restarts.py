"""Routes 38 and 53: the restart and the reset of a virtual machine."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from velocity.contract.fields import Vmid
from velocity.contract.machines import VmState
from velocity.contract.operation import Change, Failure, Hides, Holds, Method, On, Operation
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem


class RestartVm(Change, frozen=True):
    vmid: Vmid
    force: Annotated[bool, Meta(description="end it immediately, instead of pressing its power button")] = False


class ResetVm(Change, frozen=True):
    vmid: Vmid


RESTART = Operation(
    name="restart_vm",
    summary="Stop a virtual machine and start it again; answers with STOPPING, and the server does the rest",
    method=Method.PUT,
    path="/v/vm/restart",
    route=38,
    request=RestartVm,
    response=VmState,
    needs=Holds(Permission.VM_STATE, On.VM, Hides.STRANGERS),
    failures=(
        Failure(38200, 403, Problem.NO_PERMISSION, "velocity.vm.state is needed on the VM's group"),
        Failure(38210, 404, Problem.VM_NOT_FOUND, "no such VM, or not visible to the caller"),
        Failure(38295, 409, Problem.VM_MOVING, "it is being moved to another host"),
        Failure(38220, 406, Problem.NOT_FROM_THIS_STATE, "not possible in the VM's present state"),
        Failure(38230, 500, Problem.HYPERVISOR, "the hypervisor failed; the message has its own words"),
    ),
    ours=True,
)

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
        Failure(53295, 409, Problem.VM_MOVING, "it is being moved to another host"),
        Failure(53220, 406, Problem.NOT_FROM_THIS_STATE, "the VM is neither RUNNING nor PAUSED"),
        Failure(53230, 500, Problem.HYPERVISOR, "the hypervisor failed; the message has its own words"),
    ),
    ours=True,
)

OPERATIONS = (RESTART, RESET)
