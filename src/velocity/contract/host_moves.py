"""Route 62: VMs that move to another host, and hosts that are drained."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.fields import Mpid, Vmid
from velocity.contract.operation import Change, Failure, Holds, Method, On, Operation, Wire
from velocity.contract.permissions import Permission
from velocity.contract.placement import HostNumber
from velocity.contract.problems import Problem
from velocity.contract.tasks import TaskStarted


class ListTargets(Wire, frozen=True):
    vmid: Vmid


class MovingMedium(Wire, frozen=True):
    mid: UUID
    mpid: Annotated[Mpid, Meta(description="the pool that it would go to")]


class MoveTarget(Wire, frozen=True):
    """A host that a VM could move to, or why it cannot."""

    host: HostNumber
    name: str
    media: Annotated[
        list[MovingMedium], Meta(description="its media that would move with it; others stay where they are")
    ]
    lacks: (
        Annotated[str, Meta(description="why it cannot move there now, and what to do; absent: it can")] | UnsetType
    ) = UNSET


class MoveTargets(Wire, frozen=True):
    hosts: Annotated[list[MoveTarget], Meta(description="all but its own")]


class MoveVmToHost(Change, frozen=True):
    vmid: Vmid
    host: HostNumber
    mpid: (
        Annotated[
            Mpid,
            Meta(
                description="the pool there for its media; absent: for each medium, the one with the most space that "
                "its group may use. Media in pools that both hosts have stay there"
            ),
        ]
        | UnsetType
    ) = UNSET


class DrainNode(Change, frozen=True):
    host: HostNumber


TARGETS = Operation(
    name="list_vm_targets",
    summary="List the hosts that a VM could move to, and what the others lack for it",
    method=Method.POST,
    path="/v/vm/host",
    route=62,
    request=ListTargets,
    response=MoveTargets,
    needs=Holds(Permission.VM_ALTER, On.VM),
    failures=(
        Failure(62100, 403, Problem.NO_PERMISSION, "velocity.vm.alter is needed on the VM's group"),
        Failure(62110, 404, Problem.VM_NOT_FOUND, "no such VM"),
    ),
    ours=True,
)

MOVE = Operation(
    name="move_vm_to_host",
    summary="Move a VM to another host, as a task, while it runs or stopped; media of its host move with it",
    method=Method.PUT,
    path="/v/vm/host",
    route=62,
    request=MoveVmToHost,
    response=TaskStarted,
    needs=Holds(Permission.VM_ALTER, On.VM),
    failures=(
        Failure(
            62200,
            403,
            Problem.NO_PERMISSION,
            "velocity.vm.alter is needed on the VM's group; for media that move with it velocity.media.remove and "
            "velocity.media.create on theirs",
        ),
        Failure(62201, 403, Problem.POOL_NOT_MANAGED, "the group of a medium may not have it in that pool"),
        Failure(62210, 404, Problem.VM_NOT_FOUND, "no such VM"),
        Failure(62211, 404, Problem.HOST_NOT_FOUND, "no such host"),
        Failure(62212, 404, Problem.POOL_NOT_FOUND, "no such pool on that host"),
        Failure(62213, 404, Problem.MEDIUM_NOT_FOUND, "a medium of the VM is no longer there"),
        Failure(
            62220, 406, Problem.NO_HOST, "that host cannot have it, or it is there; the message says what it lacks"
        ),
        Failure(62221, 406, Problem.NOT_FROM_THIS_STATE, "the VM is neither RUNNING nor STOPPED, or does not respond"),
        Failure(62222, 409, Problem.VM_MOVING, "it is being moved already"),
        Failure(62223, 409, Problem.MEDIUM_IN_USE, "a disk is being moved, converted or read"),
        Failure(62224, 409, Problem.MEDIUM_ATTACHED, "a medium that would move with it is attached to another VM, too"),
        Failure(62225, 409, Problem.MEDIUM_NAME_TAKEN, "the pool there has a medium of that name and group"),
        Failure(62226, 406, Problem.POOL_QUOTA, "the quotas or the free space of the pools there do not suffice"),
        Failure(62227, 406, Problem.POOL_AWAY, "the pool there is away or read-only"),
        Failure(62228, 406, Problem.MEMORY_SHORT, "that host has too little memory free"),
    ),
    ours=True,
)

DRAIN = Operation(
    name="drain_node",
    summary="Drain a host: place no more VMs there and move its VMs away, as a task, two at a time, running or stopped",
    method=Method.PUT,
    path="/h/node/drain",
    route=62,
    request=DrainNode,
    response=TaskStarted,
    needs=Holds(Permission.NODE_MANAGE, On.ROOT),
    failures=(
        Failure(62209, 403, Problem.NO_PERMISSION, "velocity.node.manage is needed on the root group"),
        Failure(62219, 404, Problem.HOST_NOT_FOUND, "no such host"),
        Failure(62290, 406, Problem.NO_HOST, "there is no other host, or it does not respond"),
        Failure(62291, 409, Problem.NODE_BUSY, "it is being drained already"),
    ),
    ours=True,
)

OPERATIONS = (TARGETS, MOVE, DRAIN)
