"""Routes 6 and 7: media pools."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.fields import Gid, Mpid, PoolState, Revision
from velocity.contract.operation import Change, Failure, Holds, Method, Nothing, On, Operation, Paged, Wire
from velocity.contract.permissions import Permission
from velocity.contract.placement import WhereItIs, WhereItIsShared
from velocity.contract.problems import Problem


class ListPools(Paged[Mpid], frozen=True):
    gid: Gid


class Assigned(Wire, frozen=True):
    """What is assigned of a pool to the group itself, without what it inherits."""

    quota: Annotated[int, Meta(description="bytes; 0: no limit of its own")]
    write: bool
    manage: bool


class PoolInfo(Wire, frozen=True):
    """What a group may do in a pool, from its own assignment and those of the groups above it."""

    mpid: Mpid
    name: str
    write: bool
    manage: bool
    quota: Annotated[int, Meta(description="the quota in bytes of the nearest assignment; 0: no limit of its own")]
    used: Annotated[int, Meta(description="the total size in bytes of the media of the group and its subgroups")]
    free: Annotated[int, Meta(description="free space in the pool's file system, in bytes; 0 while the pool is away")]
    revision: Annotated[str, Meta(description="changes whenever the group's own assignment does")]
    state: PoolState
    left: (
        Annotated[int, Meta(description="bytes that all quotas of the groups above still allow; absent: no limit")]
        | UnsetType
    ) = UNSET
    assigned: Annotated[Assigned, Meta(description="absent: the group itself has no assignment")] | UnsetType = UNSET
    message: Annotated[str, Meta(description="what the state means and what to do; absent: online")] | UnsetType = UNSET
    host: WhereItIs | UnsetType = UNSET
    hosts: WhereItIsShared | UnsetType = UNSET


class Pools(Wire, frozen=True):
    pools: list[PoolInfo]


class AssignPool(Change, frozen=True):
    gid: Gid
    mpid: Mpid
    quota: Annotated[
        int, Meta(ge=0, le=2**63 - 1, description="bytes, for the group with its subgroups; 0: no limit of its own")
    ] = 0
    write: bool = False
    manage: bool = False
    revision: Revision | UnsetType = UNSET
    """Refused if the assignment has another one by now."""


class RevokePool(Change, frozen=True):
    gid: Gid
    mpid: Mpid
    revision: Revision | UnsetType = UNSET
    """Refused if the assignment has another one by now."""


ASSIGN_POOL = Operation(
    name="assign_pool",
    summary="Assign a pool to a group, or change its assignment",
    method=Method.PUT,
    path="/m/pool/assign",
    route=6,
    request=AssignPool,
    response=Nothing,
    needs=Holds(Permission.POOL_ASSIGN, On.GROUP),
    failures=(
        Failure(
            6200,
            403,
            Problem.NO_PERMISSION,
            "velocity.pool.assign is needed on the group, and on its parent for whatever the group gains; a group "
            "cannot be given what its parent lacks",
        ),
        Failure(6210, 404, Problem.GROUP_NOT_FOUND, "no such group"),
        Failure(6211, 404, Problem.POOL_NOT_FOUND, "no such pool"),
        Failure(6220, 406, Problem.POOL_OF_ROOT, "group 0 always has every pool with write and manage, and no quota"),
        Failure(6221, 409, Problem.OLD_REVISION, "the object has changed since the revision in the request"),
    ),
)

REVOKE_POOL = Operation(
    name="revoke_pool",
    summary="Remove a pool's assignment to a group and its subgroups; their media remain",
    method=Method.DELETE,
    path="/m/pool/assign",
    route=6,
    request=RevokePool,
    response=Nothing,
    needs=Holds(Permission.POOL_REVOKE, On.GROUP),
    failures=(
        Failure(
            6300,
            403,
            Problem.NO_PERMISSION,
            "velocity.pool.revoke is needed on the group; if the group would gain through inheritance, "
            "velocity.pool.assign is needed on its parent as well",
        ),
        Failure(6310, 404, Problem.GROUP_NOT_FOUND, "no such group"),
        Failure(6311, 404, Problem.POOL_NOT_FOUND, "the pool is not assigned to the group"),
        Failure(6320, 409, Problem.OLD_REVISION, "the object has changed since the revision in the request"),
    ),
)

LIST_POOLS = Operation(
    name="list_pools",
    summary="List the media pools available to a group, with its permissions, quota and usage",
    method=Method.POST,
    path="/m/pool/list",
    route=7,
    request=ListPools,
    response=Pools,
    lists={"pools": "mpid"},
    needs=Holds(Permission.POOL_LIST, On.GROUP),
    failures=(
        Failure(7100, 403, Problem.NO_PERMISSION, "velocity.pool.list is needed on the group"),
        Failure(7110, 404, Problem.GROUP_NOT_FOUND, "no such group"),
    ),
)

OPERATIONS = (ASSIGN_POOL, REVOKE_POOL, LIST_POOLS)
