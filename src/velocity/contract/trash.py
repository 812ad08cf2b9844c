"""Routes 25 and 26: what was deleted, to be restored or removed for good."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from velocity.contract.fields import UnixTime
from velocity.contract.operation import Change, Failure, Method, Nothing, Operation, SignedIn, Wire
from velocity.contract.problems import Problem

Trid = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1, description="the id of something in the trash")]


class TrashItem(Wire, frozen=True):
    trid: Trid
    kind: Literal["vm", "medium", "group"]
    id: Annotated[str, Meta(description="its vmid, mid or gid, which it has again when it is restored")]
    gid: Annotated[int, Meta(description="the group that it belonged to; of a group: its parent")]
    name: str
    uid: Annotated[int, Meta(description="who deleted it")]
    deleted: UnixTime
    expires: UnixTime
    size: Annotated[int, Meta(description="bytes that its media declare")]


class Trash(Wire, frozen=True):
    items: list[TrashItem]


class TrashRequest(Change, frozen=True):
    trid: Trid


WHO = "what was needed to delete it is needed: velocity.vm.remove, media.remove, or group.remove on the parent"

LIST = Operation(
    name="list_trash",
    summary="List what was deleted and can be restored, as far as the caller could have deleted it; the newest first",
    method=Method.POST,
    path="/t/trash/list",
    route=26,
    request=Nothing,
    response=Trash,
    needs=SignedIn("everyone sees what he could have deleted himself"),
    failures=(),
    ours=True,
)

RESTORE = Operation(
    name="restore",
    summary="Restore what was deleted, with its id; it takes its quota again",
    method=Method.PUT,
    path="/t/trash",
    route=25,
    request=TrashRequest,
    response=TrashItem,
    needs=SignedIn("what is needed depends on what it is, and is decided by the use case"),
    failures=(
        Failure(25200, 403, Problem.NO_PERMISSION, WHO),
        Failure(25210, 404, Problem.TRASH_NOT_FOUND, "no such thing in the trash"),
        Failure(25211, 404, Problem.GROUP_NOT_FOUND, "the group that it belonged to is no more"),
        Failure(25212, 404, Problem.MEDIUM_NOT_FOUND, "a medium that the VM has is no more, or is in the trash itself"),
        Failure(25213, 404, Problem.POOL_NOT_FOUND, "the pool that the medium lies in is no longer declared"),
        Failure(25220, 409, Problem.VM_NAME_TAKEN, "the group has a VM of that name now"),
        Failure(25221, 409, Problem.MEDIUM_NAME_TAKEN, "the group has a medium of that name now"),
        Failure(25222, 409, Problem.GROUP_NAME_TAKEN, "the parent has a group of that name now"),
        Failure(25223, 409, Problem.MEDIUM_IN_USE, "another VM writes to a medium of the VM now"),
        Failure(25224, 406, Problem.CPU_LIMIT, "the quota does not hold its CPUs"),
        Failure(25225, 406, Problem.MEMORY_LIMIT, "the quota does not hold its memory"),
        Failure(25226, 406, Problem.VM_QUOTA, "the quota does not hold one more VM"),
        Failure(25227, 406, Problem.POOL_QUOTA, "the quota of the pool does not hold it"),
        Failure(25228, 406, Problem.POOL_AWAY, "the pool that a medium lies in is away, or can only be read"),
    ),
    ours=True,
)

PURGE = Operation(
    name="purge",
    summary="Remove something in the trash for good",
    method=Method.DELETE,
    path="/t/trash",
    route=25,
    request=TrashRequest,
    response=Nothing,
    needs=SignedIn("what is needed depends on what it is, and is decided by the use case"),
    failures=(
        Failure(25300, 403, Problem.NO_PERMISSION, WHO),
        Failure(25310, 404, Problem.TRASH_NOT_FOUND, "no such thing in the trash"),
    ),
    ours=True,
)

OPERATIONS = (LIST, RESTORE, PURGE)
