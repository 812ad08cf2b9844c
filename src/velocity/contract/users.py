"""Routes 2 and 4: users, and what they may do."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from velocity.contract.fields import Gid, Name, Password, Pid, Uid, Word
from velocity.contract.operation import Failure, Holds, Method, Nothing, On, Operation, Wire
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem


class ShowUser(Wire, frozen=True):
    uid: Uid | UnsetType = UNSET
    """Absent: the caller."""


class PermissionInfo(Wire, frozen=True):
    pid: Pid
    name: str
    description: str


class Membership(Wire, frozen=True):
    gid: Gid
    parent_gid: Gid
    name: str
    permissions: list[PermissionInfo]


class UserInfo(Wire, frozen=True):
    uid: Uid
    name: str
    memberships: list[Membership]


class CreateUser(Wire, frozen=True):
    name: Name
    password: Password


class UserCreated(Wire, frozen=True):
    uid: Uid
    name: str


class Grant(Wire, frozen=True):
    uid: Uid
    gid: Gid
    permission: Word


SHOW = Operation(
    name="show_user",
    summary="Show a user with the groups and permissions that the caller may see; without uid, the caller",
    method=Method.POST,
    path="/u/user",
    route=2,
    request=ShowUser,
    response=UserInfo,
    needs=Holds(Permission.USER_VIEW, On.USER),
    failures=(
        Failure(2100, 403, Problem.NO_PERMISSION, "velocity.user.view is needed somewhere the user is a member"),
        Failure(2110, 404, Problem.USER_NOT_FOUND, "no such user"),
    ),
)

CREATE = Operation(
    name="create_user",
    summary="Create a user, who holds no permission yet",
    method=Method.PUT,
    path="/u/user",
    route=2,
    request=CreateUser,
    response=UserCreated,
    needs=Holds(Permission.USER_CREATE, On.SOMEWHERE),
    failures=(
        Failure(2200, 403, Problem.NO_PERMISSION, "velocity.user.create is needed somewhere"),
        Failure(2220, 409, Problem.USER_NAME_TAKEN, "a user of that name exists"),
    ),
)

GRANT = Operation(
    name="grant_permission",
    summary="Give a user a permission on a group that the caller holds there",
    method=Method.PUT,
    path="/u/user/permission",
    route=4,
    request=Grant,
    response=Nothing,
    needs=Holds(Permission.USER_ASSIGN, On.GROUP),
    failures=(
        Failure(4200, 403, Problem.NO_PERMISSION, "velocity.user.assign is needed on the group"),
        Failure(4210, 404, Problem.USER_NOT_FOUND, "no such user"),
        Failure(4211, 404, Problem.GROUP_NOT_FOUND, "no such group"),
        Failure(4212, 404, Problem.PERMISSION_NOT_FOUND, "no such permission"),
        Failure(4220, 403, Problem.PERMISSION_NOT_HELD, "the caller does not hold that permission on the group"),
    ),
)

OPERATIONS = (SHOW, CREATE, GRANT)
