"""Routes 5, 15 and 18: groups and their quotas."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.fields import Gid, Name, Revision, Uid
from velocity.contract.operation import Change, Failure, Holds, Method, Nothing, On, Operation, Paged, SignedIn, Wire
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem
from velocity.contract.users import PermissionInfo


class GroupRequest(Wire, frozen=True):
    gid: Gid


class ShowGroup(Paged[Uid], frozen=True):
    """Pages are those of the memberships."""

    gid: Gid


class Member(Wire, frozen=True):
    """A user and the permissions that they hold directly on the group."""

    uid: Uid
    name: str
    permissions: list[PermissionInfo]


class GroupInfo(Wire, frozen=True):
    gid: Gid
    parent_gid: Gid
    name: str
    revision: Annotated[
        str, Meta(description="changes whenever the group's members, their permissions or its quota do")
    ]
    memberships: list[Member]


class CreateGroup(Change, frozen=True):
    name: Name
    parent_gid: Gid


class GroupCreated(Wire, frozen=True):
    gid: Gid
    name: str
    parent_gid: Gid


class DeleteGroup(Change, frozen=True):
    gid: Gid
    revision: Revision | UnsetType = UNSET
    """Refused if the object has another one by now."""
    force: Annotated[bool, Meta(description="power off those of its VMs that are not stopped")] = False
    purge: Annotated[bool, Meta(description="delete permanently, without the trash")] = False


class GroupSummary(Wire, frozen=True):
    gid: Gid
    parent_gid: Gid
    name: str
    permissions: Annotated[
        list[PermissionInfo], Meta(description="the permissions that the caller holds there directly")
    ]


class ListGroups(Paged[Gid], frozen=True):
    pass


class Groups(Wire, frozen=True):
    groups: list[GroupSummary]


Limit = Annotated[int, Meta(ge=0, le=2**63 - 1, description="absent: no limit of its own")]


ForwardPorts = Annotated[
    str,
    Meta(
        pattern=r"^(\d{1,5}-\d{1,5}|none)\Z",
        description="the ports of the host that its VMs may forward, as in 20000-20099, within the setting "
        "forward_ports; absent: no limit of its own",
    ),
]


class Quota(Wire, frozen=True):
    """What a group with all its subgroups may use."""

    cpus: Limit | UnsetType = UNSET
    memory_mib: Limit | UnsetType = UNSET
    vms: Limit | UnsetType = UNSET
    forward_ports: ForwardPorts | UnsetType = UNSET


class Usage(Wire, frozen=True):
    """What the VMs of a group and its subgroups use, running or not."""

    cpus: int
    memory_mib: int
    vms: int


class QuotaInfo(Wire, frozen=True):
    gid: Gid
    revision: Revision
    limits: Quota
    usage: Usage
    left: Annotated[Quota, Meta(description="what may still be added under the limits of the group and its ancestors")]


class SetQuota(Change, frozen=True):
    """Sets the whole quota: a limit that is absent or null is removed."""

    gid: Gid
    cpus: Limit | UnsetType = UNSET
    memory_mib: Limit | UnsetType = UNSET
    vms: Limit | UnsetType = UNSET
    forward_ports: ForwardPorts | UnsetType = UNSET
    revision: Revision | UnsetType = UNSET
    """Refused if the object has another one by now."""


SHOW = Operation(
    name="show_group",
    summary="Show a group with its members and their direct permissions",
    method=Method.POST,
    path="/u/group",
    route=5,
    request=ShowGroup,
    response=GroupInfo,
    lists={"memberships": "uid"},
    needs=Holds(Permission.GROUP_VIEW, On.GROUP),
    failures=(
        Failure(5100, 403, Problem.NO_PERMISSION, "velocity.group.view is needed on the group"),
        Failure(5110, 404, Problem.GROUP_NOT_FOUND, "no such group"),
    ),
)

CREATE = Operation(
    name="create_group",
    summary="Create a group under another group",
    method=Method.PUT,
    path="/u/group",
    route=5,
    request=CreateGroup,
    response=GroupCreated,
    needs=Holds(Permission.GROUP_CREATE, On.PARENT_GROUP),
    failures=(
        Failure(5200, 403, Problem.NO_PERMISSION, "velocity.group.create is needed on the parent"),
        Failure(5210, 404, Problem.GROUP_NOT_FOUND, "no such parent group"),
        Failure(5220, 409, Problem.GROUP_NAME_TAKEN, "a group of that name exists under that parent"),
        Failure(5221, 406, Problem.GROUP_TOO_DEEP, "it would be too far below the root (group_depth)"),
        Failure(5222, 406, Problem.TOO_MANY_GROUPS, "the parent has as many subgroups as allowed (group_subgroups)"),
    ),
)

DELETE = Operation(
    name="delete_group",
    summary="Move a group with its subgroups, VMs and media to the trash",
    method=Method.DELETE,
    path="/u/group",
    route=5,
    request=DeleteGroup,
    response=Nothing,
    needs=Holds(Permission.GROUP_REMOVE, On.GROUPS_PARENT),
    failures=(
        Failure(5300, 403, Problem.NO_PERMISSION, "velocity.group.remove is needed on the parent"),
        Failure(5310, 404, Problem.GROUP_NOT_FOUND, "no such group"),
        Failure(5320, 406, Problem.GROUP_STAYS, "group 0 cannot be deleted"),
        Failure(
            5321,
            409,
            Problem.GROUP_BUSY,
            "one of its VMs is not STOPPED, and `force` is not true; one of its media is being changed; or one of its "
            "subgroups is being deleted",
        ),
        Failure(
            5322,
            409,
            Problem.GROUP_MEDIUM_ATTACHED,
            "one of its media is attached to a VM of a group that is not being deleted",
        ),
        Failure(5323, 409, Problem.OLD_REVISION, "the object has changed since the revision in the request"),
        Failure(5324, 406, Problem.POOL_AWAY, "the pool of one of its media is away or read-only"),
    ),
)

LIST = Operation(
    name="list_groups",
    summary="List the groups where the caller holds a permission, and their ancestors",
    method=Method.POST,
    path="/u/group/list",
    route=15,
    request=ListGroups,
    response=Groups,
    lists={"groups": "gid"},
    needs=SignedIn("all users may see where they hold permissions"),
    failures=(),
)

SHOW_QUOTA = Operation(
    name="show_quota",
    summary="Show the quota of a group with its subgroups, what they use, and what is left",
    method=Method.POST,
    path="/u/group/quota",
    route=18,
    request=GroupRequest,
    response=QuotaInfo,
    needs=Holds(Permission.GROUP_VIEW, On.GROUP),
    failures=(
        Failure(18100, 403, Problem.NO_PERMISSION, "velocity.group.view is needed on the group"),
        Failure(18110, 404, Problem.GROUP_NOT_FOUND, "no such group"),
    ),
    ours=True,
)

SET_QUOTA = Operation(
    name="set_quota",
    summary="Set the quota of a group with its subgroups; a limit that is absent or null is removed",
    method=Method.PUT,
    path="/u/group/quota",
    route=18,
    request=SetQuota,
    response=QuotaInfo,
    needs=Holds(Permission.GROUP_CREATE, On.GROUPS_PARENT),
    failures=(
        Failure(18200, 403, Problem.NO_PERMISSION, "velocity.group.create is needed on the parent"),
        Failure(18210, 404, Problem.GROUP_NOT_FOUND, "no such group"),
        Failure(18221, 409, Problem.OLD_REVISION, "the object has changed since the revision in the request"),
        Failure(18220, 406, Problem.QUOTA_ABOVE, "a limit is above an ancestor's, or below a subgroup's"),
    ),
    ours=True,
)

OPERATIONS = (SHOW, CREATE, DELETE, LIST, SHOW_QUOTA, SET_QUOTA)
