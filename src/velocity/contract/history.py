"""Route 27: the history."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.fields import Gid, Int64, Uid, UnixTime, Vmid
from velocity.contract.operation import PAGE, Failure, Holds, Method, On, Operation, Paged, Wire
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem


class ListHistory(Paged[Int64], frozen=True):
    gid: Annotated[
        int, Meta(ge=-(2**63), le=2**63 - 1, description="entries of this group and the groups below it")
    ] = 0
    limit: Annotated[int, Meta(ge=1, le=PAGE, description="the maximum number of entries, 1 to 1,000")] = 100
    uid: Uid | UnsetType = UNSET
    """Only what this user did."""
    refused: bool | UnsetType = UNSET
    """Only what was refused, or what was not."""
    vmid: Vmid | UnsetType = UNSET
    """Only what concerns this VM, whether it is still there or not."""


class Entry(Wire, frozen=True):
    hid: Annotated[int, Meta(description="the id of the entry; later entries have greater ids")]
    at: UnixTime
    name: Annotated[str, Meta(description="the user's name, or the name that a sign-in was attempted with")]
    address: str
    request: Annotated[str, Meta(description="the id of the request, as in the x-request-id header of its response")]
    operation: str
    gid: Gid
    target: Annotated[str, Meta(description="what the request acted on, and which settings it changed; never a secret")]
    status: int
    uid: Annotated[int, Meta(description="the user; absent: not signed in")] | UnsetType = UNSET
    code: Annotated[int, Meta(description="the error code; absent: the request succeeded")] | UnsetType = UNSET
    message: str | UnsetType = UNSET
    vmid: Annotated[int, Meta(description="the VM concerned; absent: none")] | UnsetType = UNSET
    times: (
        Annotated[
            int,
            Meta(
                description="how often the request was refused within the minute; absent: once. Refusals of clients "
                "that are not signed in (401) are one entry per address and minute, which shows the first"
            ),
        ]
        | UnsetType
    ) = UNSET


class History(Wire, frozen=True):
    entries: list[Entry]


LIST = Operation(
    name="list_history",
    summary="List changes, sign-ins and refused requests, newest first",
    method=Method.POST,
    path="/t/history",
    route=27,
    request=ListHistory,
    response=History,
    lists={"entries": "hid"},
    needs=Holds(Permission.USER_VIEW, On.GROUP),
    failures=(
        Failure(27100, 403, Problem.NO_PERMISSION, "velocity.user.view is needed on the group"),
        Failure(27110, 404, Problem.GROUP_NOT_FOUND, "no such group"),
    ),
    ours=True,
)

OPERATIONS = (LIST,)
