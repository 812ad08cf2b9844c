"""Routes 2 and 4."""

from velocity.access.service import Membership
from velocity.api.handlers.base import Call, handles
from velocity.contract import users
from velocity.contract.operation import Nothing


@handles(users.SHOW)
async def show(call: Call[users.ShowUser]) -> users.UserInfo:
    uid = call.request.uid if isinstance(call.request.uid, int) else call.caller.uid
    user = call.services.access.user(uid)
    memberships = call.services.access.memberships(call.caller, uid)
    return users.UserInfo(uid=user.uid, name=user.name, memberships=[_membership(one) for one in memberships])


@handles(users.CREATE)
async def create(call: Call[users.CreateUser]) -> users.UserCreated:
    user = await call.services.access.create_user(call.request.name, call.request.password)
    return users.UserCreated(uid=user.uid, name=user.name)


@handles(users.GRANT)
async def grant(call: Call[users.Grant]) -> Nothing:
    request = call.request
    await call.services.access.grant(call.caller, request.uid, request.gid, request.permission)
    return Nothing()


def _membership(one: Membership) -> users.Membership:
    return users.Membership(
        gid=one.group.gid,
        parent_gid=one.group.parent_gid,
        name=one.group.name,
        permissions=[
            users.PermissionInfo(pid=permission.pid, name=permission.value, description=permission.description)
            for permission in one.permissions
        ],
    )
