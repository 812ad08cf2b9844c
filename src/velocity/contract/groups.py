"""Route 5: groups."""

from __future__ import annotations

from velocity.contract.fields import Gid, Name
from velocity.contract.operation import Failure, Holds, Method, On, Operation, Wire
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem


class CreateGroup(Wire, frozen=True):
    name: Name
    parent_gid: Gid


class GroupCreated(Wire, frozen=True):
    gid: Gid
    name: str
    parent_gid: Gid


CREATE = Operation(
    name="create_group",
    summary="Create a group under another one",
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
    ),
)

OPERATIONS = (CREATE,)
