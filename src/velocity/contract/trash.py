"""Routes 25, 26 and 37: deleted objects, which can be restored or removed permanently."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.fields import UnixTime
from velocity.contract.operation import Change, Failure, Method, Nothing, Operation, Paged, SignedIn, Wire
from velocity.contract.problems import Problem
from velocity.contract.tasks import TaskStarted

Trid = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1, description="the id of an item in the trash")]


class TrashItem(Wire, frozen=True):
    trid: Trid
    kind: Literal["vm", "medium", "group"]
    id: Annotated[str, Meta(description="its vmid, mid or gid, which it gets back when it is restored")]
    gid: Annotated[int, Meta(description="the group that owned it; for a group, its parent")]
    name: str
    uid: Annotated[int, Meta(description="who deleted it")]
    deleted: UnixTime
    expires: UnixTime
    size: Annotated[int, Meta(description="the total size of its media in bytes")]
    disks: (
        Annotated[list[str], Meta(description="in lists, the names of the disks deleted with a VM; absent: none")]
        | UnsetType
    ) = UNSET


class ListTrash(Paged[Trid], frozen=True):
    pass


class Trash(Wire, frozen=True):
    items: list[TrashItem]


class TrashRequest(Change, frozen=True):
    trid: Trid


class RestoreItem(Change, frozen=True):
    trid: Trid
    host: (
        Annotated[
            int,
            Meta(
                ge=-(2**63),
                le=2**63 - 1,
                description="the host for VMs whose own host is gone, where they begin with new firmware variables",
            ),
        ]
        | UnsetType
    ) = UNSET


class EmptyTrash(Change, frozen=True):
    trids: (
        Annotated[list[Trid], Meta(description="only these items; absent: all that the caller sees in the trash")]
        | UnsetType
    ) = UNSET


WHO = "the permission for deleting it is needed: velocity.vm.remove, media.remove, or group.remove on the parent"

LIST = Operation(
    name="list_trash",
    summary="List what the caller can restore: deleted objects that the caller could have deleted; newest first",
    method=Method.POST,
    path="/t/trash/list",
    route=26,
    request=ListTrash,
    response=Trash,
    lists={"items": "trid"},
    needs=SignedIn("all users see what they could have deleted themselves"),
    failures=(),
    ours=True,
)

RESTORE = Operation(
    name="restore",
    summary="Restore a deleted object with its id; it counts against its quotas again",
    method=Method.PUT,
    path="/t/trash",
    route=25,
    request=RestoreItem,
    response=TrashItem,
    needs=SignedIn("the permission depends on the kind of the object, and is checked by the operation itself"),
    failures=(
        Failure(25200, 403, Problem.NO_PERMISSION, WHO),
        Failure(25210, 404, Problem.TRASH_NOT_FOUND, "no such item in the trash"),
        Failure(25211, 404, Problem.GROUP_NOT_FOUND, "the group that owned it no longer exists"),
        Failure(
            25212, 404, Problem.MEDIUM_NOT_FOUND, "one of the VM's media no longer exists, or is in the trash itself"
        ),
        Failure(25213, 404, Problem.POOL_NOT_FOUND, "the medium's pool is no longer declared"),
        Failure(25220, 409, Problem.VM_NAME_TAKEN, "the group now has a VM with that name"),
        Failure(25221, 409, Problem.MEDIUM_NAME_TAKEN, "the group now has a medium with that name"),
        Failure(25222, 409, Problem.GROUP_NAME_TAKEN, "the parent now has a group with that name"),
        Failure(25223, 409, Problem.MEDIUM_IN_USE, "another VM has attached one of the VM's media writable"),
        Failure(25224, 406, Problem.CPU_LIMIT, "the quota does not allow its CPUs"),
        Failure(25225, 406, Problem.MEMORY_LIMIT, "the quota does not allow its memory"),
        Failure(25226, 406, Problem.VM_QUOTA, "the quota does not allow another VM"),
        Failure(25227, 406, Problem.POOL_QUOTA, "the quota of the pool does not allow it"),
        Failure(25228, 406, Problem.POOL_AWAY, "the pool of a medium is away or read-only"),
        Failure(25229, 409, Problem.MAC_TAKEN, "another VM now has the MAC address of one of its NICs"),
        Failure(25260, 409, Problem.PORT_TAKEN, "another VM now has a port of the host that leads to it"),
        Failure(
            25280,
            406,
            Problem.NO_HOST,
            "the VM's host was removed, or the host in the request is unknown or cannot have it",
        ),
    ),
    ours=True,
)

PURGE = Operation(
    name="purge",
    summary="Remove an item in the trash permanently",
    method=Method.DELETE,
    path="/t/trash",
    route=25,
    request=TrashRequest,
    response=Nothing,
    needs=SignedIn("the permission depends on the kind of the object, and is checked by the operation itself"),
    failures=(
        Failure(25300, 403, Problem.NO_PERMISSION, WHO),
        Failure(25310, 404, Problem.TRASH_NOT_FOUND, "no such item in the trash"),
    ),
    ours=True,
)

EMPTY = Operation(
    name="empty_trash",
    summary="Remove everything that the caller sees in the trash permanently, as a task of the caller's home group",
    method=Method.DELETE,
    path="/t/trash/all",
    route=37,
    request=EmptyTrash,
    response=TaskStarted,
    needs=SignedIn("only what the caller could remove item by item is removed"),
    failures=(),
    ours=True,
)

OPERATIONS = (LIST, RESTORE, PURGE, EMPTY)
