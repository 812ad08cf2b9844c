"""Route 27: the history."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.fields import Gid, Uid, UnixTime, Vmid
from velocity.contract.operation import Failure, Holds, Method, On, Operation, Wire
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem


class ListHistory(Wire, frozen=True):
    gid: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1, description="of this group and those below it")] = 0
    before: (
        Annotated[int, Meta(ge=-(2**63), le=2**63 - 1, description="only what is older than this hid: the next page")]
        | UnsetType
    ) = UNSET
    limit: Annotated[int, Meta(ge=1, le=1000, description="entries at most, 1 to 1,000")] = 100
    uid: Uid | UnsetType = UNSET
    """Only what this user did."""
    refused: bool | UnsetType = UNSET
    """Only what was refused, or what was not."""
    vmid: Vmid | UnsetType = UNSET
    """Only what concerns this VM, whether it is still there or not."""


class Entry(Wire, frozen=True):
    hid: Annotated[int, Meta(description="the id of the entry; a later one has a greater one")]
    at: UnixTime
    name: Annotated[str, Meta(description="the name of who it was, or of whom a sign-in was tried for")]
    address: str
    request: Annotated[str, Meta(description="the request's id, as in the header x-request-id of its answer")]
    operation: str
    gid: Gid
    target: Annotated[str, Meta(description="what it was done to; never a secret")]
    status: int
    uid: Annotated[int, Meta(description="who; absent: nobody was signed in")] | UnsetType = UNSET
    code: Annotated[int, Meta(description="why it was refused; absent: it was not")] | UnsetType = UNSET
    message: str | UnsetType = UNSET
    vmid: Annotated[int, Meta(description="the VM that it concerns; absent: none")] | UnsetType = UNSET


class History(Wire, frozen=True):
    entries: list[Entry]


LIST = Operation(
    name="list_history",
    summary="List what was done, and what was refused, the newest first: changes, sign-ins, and refused requests",
    method=Method.POST,
    path="/t/history",
    route=27,
    request=ListHistory,
    response=History,
    needs=Holds(Permission.USER_VIEW, On.GROUP),
    failures=(
        Failure(27100, 403, Problem.NO_PERMISSION, "velocity.user.view is needed on the group"),
        Failure(27110, 404, Problem.GROUP_NOT_FOUND, "no such group"),
    ),
    ours=True,
)

OPERATIONS = (LIST,)
