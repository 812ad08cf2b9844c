"""Route 20: why a user may do something, or what is missing and who could give it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.fields import Gid, PermissionName, Uid, Vmid, Word
from velocity.contract.operation import Failure, Method, Operation, SignedIn, Wire
from velocity.contract.problems import Problem
from velocity.contract.tasks import Tid
from velocity.contract.users import UserSummary


class Supposed(Wire, frozen=True):
    """A permission on a group, as if it were given or taken away."""

    gid: Gid
    permission: PermissionName


class Explain(Wire, frozen=True):
    """The object is a group, VM, medium, task or user, depending on the operation; some operations need none."""

    operation: Annotated[Word, Meta(description="the name of an operation, such as set_vm_state, or of a permission")]
    uid: Uid | UnsetType = UNSET
    """Who would do it. Absent: the caller."""
    gid: Gid | UnsetType = UNSET
    vmid: Vmid | UnsetType = UNSET
    mid: UUID | UnsetType = UNSET
    tid: Tid | UnsetType = UNSET
    member: Annotated[int, Meta(description="the uid of the user that the operation acts on")] | UnsetType = UNSET
    granted: Annotated[
        list[Supposed], Meta(max_length=32, description="permissions to assume as given; at most 32")
    ] = []
    revoked: Annotated[
        list[Supposed], Meta(max_length=32, description="permissions to assume as taken away; at most 32")
    ] = []


class Place(Wire, frozen=True):
    """A group on the path to the root, and whether the permission is held directly on it."""

    gid: Gid
    name: str
    held: bool


class Explanation(Wire, frozen=True):
    allowed: bool
    message: Annotated[str, Meta(description="the decision, as a sentence")]
    permission: Annotated[str, Meta(description="the permission needed; absent: none")] | UnsetType = UNSET
    line: Annotated[
        list[Place], Meta(description="the groups where it was looked for, as far as the caller may see them")
    ] = []
    ask: Annotated[
        list[UserSummary], Meta(description="the users who could give it, as far as the caller may see them")
    ] = []


EXPLAIN = Operation(
    name="explain",
    summary="Explain why a user may or may not do something, or would if permissions were given or taken away",
    method=Method.POST,
    path="/u/why",
    route=20,
    request=Explain,
    response=Explanation,
    needs=SignedIn("all users may ask about themselves; about others, with velocity.user.view there"),
    failures=(
        Failure(20100, 403, Problem.NO_PERMISSION, "velocity.user.view is needed there to ask about another user"),
        Failure(20110, 404, Problem.USER_NOT_FOUND, "no such user"),
        Failure(20111, 404, Problem.OPERATION_NOT_FOUND, "no such operation or permission"),
    ),
    ours=True,
)

OPERATIONS = (EXPLAIN,)
