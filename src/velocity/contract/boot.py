"""Route 54: a choice for the next start of a virtual machine."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.fields import Vmid
from velocity.contract.machines import VmState
from velocity.contract.operation import Change, Failure, Hides, Holds, Method, On, Operation
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem


class ChooseBoot(Change, frozen=True):
    """At most one of these; without any, the next start is an ordinary one."""

    vmid: Vmid
    firmware_setup: Annotated[bool, Meta(description="show the setup of the firmware")] = False
    mid: Annotated[UUID, Meta(description="try this one of its media first")] | UnsetType = UNSET
    nic: (
        Annotated[int, Meta(ge=1, le=2**31 - 1, description="try this one of its NICs first, by its id")] | UnsetType
    ) = UNSET


CHOOSE = Operation(
    name="choose_boot",
    summary="Choose what the next start of a virtual machine does, once; another request replaces it",
    method=Method.PUT,
    path="/v/vm/boot",
    route=54,
    request=ChooseBoot,
    response=VmState,
    needs=Holds(Permission.VM_STATE, On.VM, Hides.STRANGERS),
    failures=(
        Failure(54200, 403, Problem.NO_PERMISSION, "velocity.vm.state is needed on the VM's group"),
        Failure(54210, 404, Problem.VM_NOT_FOUND, "no such VM, or not visible to the caller"),
        Failure(54211, 404, Problem.MEDIUM_NOT_FOUND, "the VM has no such medium"),
        Failure(54295, 409, Problem.VM_MOVING, "it is being moved to another host"),
        Failure(54212, 404, Problem.INTERFACE_NOT_FOUND, "the VM has no NIC with that id"),
    ),
    ours=True,
)

OPERATIONS = (CHOOSE,)
