"""Routes 2, 3 and 4: users, and what they may do."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.fields import Gid, GivenPassword, Password, PermissionName, Pid, Revision, Uid, UserName
from velocity.contract.operation import Change, Failure, Given, Holds, Method, Nothing, On, Operation, Paged, Wire
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem

Home = Annotated[
    int,
    Meta(
        ge=-(2**63),
        le=2**63 - 1,
        description="the group whose managers control the account; absent if the caller may not see its members "
        "(about oneself: may not see the group)",
    ),
]


class ShowUser(Paged[Gid], frozen=True):
    """Pages are those of the memberships."""

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
    revision: Annotated[
        str,
        Meta(
            description="changes whenever the password or the home group does; the groups' revisions cover permissions"
        ),
    ]
    memberships: list[Membership]
    home: Home | UnsetType = UNSET


class CreateUser(Change, frozen=True):
    name: UserName
    password: Password
    gid: (
        Annotated[
            int,
            Meta(
                ge=-(2**63),
                le=2**63 - 1,
                description="the home group; absent: the one group where the caller holds velocity.user.create "
                "directly, else 0",
            ),
        ]
        | UnsetType
    ) = UNSET


class UserCreated(Wire, frozen=True):
    uid: Uid
    name: str


class RemoveUser(Change, frozen=True):
    uid: Uid
    revision: Revision | UnsetType = UNSET
    """Refused if the object has another one by now."""


class ChangeUser(Change, frozen=True):
    """A new password, a new home group, or both."""

    password: Password | UnsetType = UNSET
    uid: Uid | UnsetType = UNSET
    """Absent: the caller."""
    gid: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1, description="the new home group")] | UnsetType = UNSET
    old_password: GivenPassword | UnsetType = UNSET
    """Required for a new password of one's own, except in a session opened with the link of the first sign-in."""
    revision: Revision | UnsetType = UNSET
    """Refused if the object has another one by now."""

    def __post_init__(self) -> None:
        if self.password is UNSET and self.gid is UNSET:
            raise ValueError("Object missing required field `password`, or `gid` for a new home")


class UserSummary(Wire, frozen=True):
    uid: Uid
    name: str


class ListUsers(Paged[Uid], frozen=True):
    pass


class Users(Wire, frozen=True):
    users: list[UserSummary]


class Grant(Change, frozen=True):
    uid: Uid
    gid: Gid
    permission: PermissionName
    revision: Revision | UnsetType = UNSET
    """The revision of the group that the user joins: refused if the group has another one by now."""


class Revocation(Change, frozen=True):
    uid: Uid
    gid: Gid
    permission: PermissionName | UnsetType = UNSET
    """Absent: all that the user holds directly on the group."""
    revision: Revision | UnsetType = UNSET
    """The group's: refused if the group has another one by now."""


SHOW = Operation(
    name="show_user",
    summary="Show a user with the groups and permissions that the caller may see; without uid, the caller",
    method=Method.POST,
    path="/u/user",
    route=2,
    request=ShowUser,
    response=UserInfo,
    lists={"memberships": "gid"},
    needs=Holds(Permission.USER_VIEW, On.USER, oneself=True),
    failures=(
        Failure(
            2100, 403, Problem.NO_PERMISSION, "velocity.user.view is needed on a group that the user is a member of"
        ),
        Failure(2110, 404, Problem.USER_NOT_FOUND, "no such user"),
    ),
)

CREATE = Operation(
    name="create_user",
    summary="Create a user, who has no permissions yet",
    method=Method.PUT,
    path="/u/user",
    route=2,
    request=CreateUser,
    response=UserCreated,
    needs=Holds(Permission.USER_CREATE, On.SOMEWHERE),
    given=Given("gid", Holds(Permission.USER_CREATE, On.GROUP)),
    failures=(
        Failure(
            2200,
            403,
            Problem.NO_PERMISSION,
            "velocity.user.create is needed on at least one group; with `gid`, on that group",
        ),
        Failure(2210, 404, Problem.GROUP_NOT_FOUND, "no such group"),
        Failure(2220, 409, Problem.USER_NAME_TAKEN, "a user with that name already exists"),
        Failure(2221, 406, Problem.TOO_MANY_USERS, "the group is home to as many users as allowed (group_users)"),
    ),
)

REMOVE = Operation(
    name="remove_user",
    summary="Remove a user with their authkeys and permissions",
    method=Method.DELETE,
    path="/u/user",
    route=2,
    request=RemoveUser,
    response=Nothing,
    needs=Holds(Permission.USER_REMOVE, On.ALL_OF_USER),
    failures=(
        Failure(
            2300,
            403,
            Problem.NO_PERMISSION,
            "velocity.user.remove is needed on every group of the user and on the user's home group",
        ),
        Failure(2310, 404, Problem.USER_NOT_FOUND, "no such user"),
        Failure(2320, 406, Problem.USER_STAYS, "the root user, or oneself"),
        Failure(2321, 409, Problem.OLD_REVISION, "the object has changed since the revision in the request"),
    ),
)

CHANGE = Operation(
    name="change_user",
    summary="Set a password, which ends the user's sessions, or change a user's home group",
    method=Method.PATCH,
    path="/u/user",
    route=2,
    request=ChangeUser,
    response=Nothing,
    needs=Holds(Permission.USER_REMOVE, On.HOME, oneself=True),
    given=Given("password", Holds(Permission.USER_REMOVE, On.ALL_OF_USER, oneself=True)),
    failures=(
        Failure(
            2400,
            403,
            Problem.NO_PERMISSION,
            "the old password is wrong; or, for another user: velocity.user.remove is needed on every group of the "
            "user and on the home group, as is every permission that the user holds there; or, for a new home group: "
            "velocity.user.remove is needed on both",
        ),
        Failure(2410, 404, Problem.USER_NOT_FOUND, "no such user"),
        Failure(2411, 404, Problem.GROUP_NOT_FOUND, "no such group"),
        Failure(2420, 409, Problem.OLD_REVISION, "the object has changed since the revision in the request"),
        Failure(2421, 406, Problem.TOO_MANY_USERS, "the group is home to as many users as allowed (group_users)"),
    ),
    ours=True,
)

LIST = Operation(
    name="list_users",
    summary="List all users by name",
    method=Method.POST,
    path="/u/user/list",
    route=3,
    request=ListUsers,
    response=Users,
    lists={"users": "uid"},
    needs=Holds(Permission.USER_LIST, On.SOMEWHERE),
    failures=(Failure(3100, 403, Problem.NO_PERMISSION, "velocity.user.list is needed on at least one group"),),
)

GRANT = Operation(
    name="grant_permission",
    summary="Give a user a permission on a group; the caller must hold it there too",
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
        Failure(4221, 409, Problem.OLD_REVISION, "the object has changed since the revision in the request"),
    ),
)

REVOKE = Operation(
    name="revoke_permission",
    summary="Take one permission on a group, or all of them, away from a user; no error if they do not hold it",
    method=Method.DELETE,
    path="/u/user/permission",
    route=4,
    request=Revocation,
    response=Nothing,
    needs=Holds(Permission.USER_REVOKE, On.GROUP),
    failures=(
        Failure(
            4300, 403, Problem.NO_PERMISSION, "velocity.user.revoke is needed on the group, and the permission itself"
        ),
        Failure(4310, 404, Problem.USER_NOT_FOUND, "no such user"),
        Failure(4311, 404, Problem.GROUP_NOT_FOUND, "no such group"),
        Failure(4312, 404, Problem.PERMISSION_NOT_FOUND, "no such permission"),
        Failure(4320, 406, Problem.GRANT_STAYS, "the root user's permissions on group 0 cannot be taken away"),
        Failure(4321, 409, Problem.OLD_REVISION, "the object has changed since the revision in the request"),
    ),
)

OPERATIONS = (SHOW, CREATE, REMOVE, CHANGE, LIST, GRANT, REVOKE)
