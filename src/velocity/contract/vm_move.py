"""Route 50: moving a VM to another group."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.fields import Gid, Revision, SeenRevision, Vmid, Warnings
from velocity.contract.operation import Change, Failure, Holds, Method, On, Operation, Wire
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem


class MoveVm(Change, frozen=True, kw_only=True):
    vmid: Vmid
    gid: Annotated[Gid, Meta(description="its new group")]
    disks: Annotated[
        bool,
        Meta(
            description="move its disks too: the media of its group that are attached writable, but no ISO; false: "
            "they stay, which is refused unless the new group may see them"
        ),
    ] = True
    revision: SeenRevision | UnsetType = UNSET


class VmMoved(Wire, frozen=True):
    vmid: Vmid
    gid: Gid
    revision: Revision
    media: Annotated[list[UUID], Meta(description="its disks, which have moved with it")]
    warnings: Warnings | UnsetType = UNSET


MOVE = Operation(
    name="move_vm",
    summary="Move a VM to another group, with its disks or without; it keeps running",
    method=Method.PUT,
    path="/v/vm/move",
    route=50,
    request=MoveVm,
    response=VmMoved,
    needs=Holds(Permission.VM_REMOVE, On.VM),
    failures=(
        Failure(
            50200,
            403,
            Problem.NO_PERMISSION,
            "velocity.vm.remove is needed on the VM's group and velocity.vm.create on the new one; for its disks "
            "velocity.media.remove and velocity.media.create; and velocity.nic.trust on the new one for NICs that are "
            "trusted or have a chosen MAC address on BRIDGE",
        ),
        Failure(50201, 403, Problem.POOL_NOT_MANAGED, "the new group may not manage media in the pool of a disk"),
        Failure(50210, 404, Problem.VM_NOT_FOUND, "no such VM"),
        Failure(50211, 404, Problem.GROUP_NOT_FOUND, "no such group"),
        Failure(50212, 404, Problem.POOL_NOT_FOUND, "the pool of a disk is no longer declared"),
        Failure(50213, 404, Problem.MEDIUM_NOT_FOUND, "a medium of the VM is no longer there"),
        Failure(50220, 406, Problem.CPU_LIMIT, "a quota on CPUs does not allow it"),
        Failure(50221, 406, Problem.MEMORY_LIMIT, "a quota on memory does not allow it"),
        Failure(50222, 406, Problem.VM_QUOTA, "a quota on the number of VMs does not allow it"),
        Failure(50223, 409, Problem.VM_NAME_TAKEN, "the new group already has a VM with that name"),
        Failure(50224, 409, Problem.MEDIUM_NAME_TAKEN, "the new group already has a medium with the name of a disk"),
        Failure(50225, 406, Problem.POOL_QUOTA, "the quota of a pool does not suffice"),
        Failure(50226, 409, Problem.MEDIUM_IN_USE, "a disk is being changed, moved or converted"),
        Failure(
            50227,
            409,
            Problem.MEDIUM_ATTACHED,
            "the new group may not see one of the VM's media, or another VM has one of its disks",
        ),
        Failure(50295, 409, Problem.VM_MOVING, "it is being moved to another host"),
        Failure(50228, 409, Problem.OLD_REVISION, "the object has changed since the revision in the request"),
    ),
    ours=True,
)

OPERATIONS = (MOVE,)
