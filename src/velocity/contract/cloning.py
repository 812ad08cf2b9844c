"""Route 39: cloning a VM, with copies of its disks."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from velocity.contract import placement
from velocity.contract.fields import Gid, Mpid, Name, Vmid
from velocity.contract.operation import Change, Failure, Holds, Method, On, Operation
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem
from velocity.contract.tasks import TaskStarted


class CloneVm(Change, frozen=True):
    vmid: Vmid
    gid: Gid
    name: Name
    mpid: (
        Annotated[
            Mpid,
            Meta(description="the pool for the copies; absent: that of each source, or the only pool of `host`"),
        ]
        | UnsetType
    ) = UNSET
    host: placement.WantedHost | UnsetType = UNSET
    leave: Annotated[list[UUID], Meta(description="media that the clone does not have, neither copied nor shared")] = []
    fresh_firmware: Annotated[bool, Meta(description="do not copy the firmware variables, such as boot entries")] = (
        False
    )


CLONE = Operation(
    name="clone_vm",
    summary="Clone a stopped VM, with copies of the disks that it writes to; its other media are shared",
    method=Method.PUT,
    path="/v/vm/clone",
    route=39,
    request=CloneVm,
    response=TaskStarted,
    needs=Holds(Permission.VM_CREATE, On.GROUP),
    failures=(
        Failure(
            39200,
            403,
            Problem.NO_PERMISSION,
            "velocity.vm.create is needed on the group, velocity.media.create for copies of disks, and "
            "velocity.nic.trust for NICs that are trusted",
        ),
        Failure(39201, 403, Problem.POOL_NOT_MANAGED, "the group may not manage media in this pool"),
        Failure(39210, 404, Problem.GROUP_NOT_FOUND, "no such group"),
        Failure(39211, 404, Problem.VM_NOT_FOUND, "no such VM, or not visible to the caller"),
        Failure(39212, 404, Problem.MEDIUM_NOT_FOUND, "no such medium of the VM, or not one for this group"),
        Failure(
            39213, 404, Problem.POOL_NOT_FOUND, "no such pool for this group, or none is named of a host with several"
        ),
        Failure(39214, 404, Problem.NIC_NOT_FOUND, "no such host NIC"),
        Failure(39220, 406, Problem.CPU_LIMIT, "more CPUs than a VM can have here, or than the group's quota allows"),
        Failure(
            39221,
            406,
            Problem.MEMORY_LIMIT,
            "more or less memory than a VM can have here, or more than the group's quota allows",
        ),
        Failure(39222, 406, Problem.VM_QUOTA, "a quota on the number of VMs does not allow it"),
        Failure(39223, 409, Problem.VM_NAME_TAKEN, "the group already has a VM with that name"),
        Failure(39224, 409, Problem.MEDIUM_NAME_TAKEN, "the group already has a medium with the name of a copy"),
        Failure(39225, 406, Problem.POOL_QUOTA, "the quota or the free space of the pool does not suffice"),
        Failure(39226, 409, Problem.MEDIUM_IN_USE, "a VM is writing to a disk that is to be copied"),
        Failure(
            39227, 409, Problem.VM_NOT_STOPPED, "the VM is not STOPPED, and its firmware variables are to be copied"
        ),
        Failure(39228, 406, Problem.POOL_AWAY, "the pool is away or read-only, or a source's pool is away"),
        Failure(39295, 409, Problem.VM_MOVING, "it is being moved to another host"),
        Failure(39240, 406, Problem.NOT_OF_THIS_HOST, "this host does not support its CPU model"),
        Failure(
            39280, 406, Problem.NO_HOST, "no such host, or none that can have it; the message says what each lacks"
        ),
    ),
    ours=True,
)

OPERATIONS = (CLONE,)
