"""Users and their permissions."""

from collections.abc import Iterable

from msgspec import UNSET

from velocity.api.handlers.base import Call, handles
from velocity.contract import users
from velocity.contract.operation import Nothing
from velocity.contract.permissions import Permission


@handles(users.SHOW)
async def show(call: Call[users.ShowUser]) -> users.UserInfo:
    uid = call.request.uid if isinstance(call.request.uid, int) else call.caller.uid
    user = call.services.directory.user(uid)
    home = call.services.access.users.home_shown(call.caller, user)
    return users.UserInfo(
        uid=uid,
        name=user.name,
        revision=call.services.access.users.revision(user),
        home=UNSET if home is None else home,
        memberships=[
            users.Membership(
                gid=one.group.gid,
                parent_gid=one.group.parent_gid,
                name=one.group.name,
                permissions=permission_infos(one.permissions),
            )
            for one in call.services.access.users.memberships(call.caller, uid, call.request)
        ],
    )


@handles(users.CREATE)
async def create(call: Call[users.CreateUser]) -> users.UserCreated:
    request = call.request
    gid = request.gid if isinstance(request.gid, int) else None
    user = await call.services.access.users.create(call.caller, request.name, request.password, gid)
    return users.UserCreated(uid=user.uid, name=user.name)


@handles(users.REMOVE)
async def remove(call: Call[users.RemoveUser]) -> Nothing:
    await call.services.access.users.remove(call.caller, call.request.uid, call.request.revision)
    return Nothing()


@handles(users.CHANGE)
async def change(call: Call[users.ChangeUser]) -> Nothing:
    await call.services.access.users.change(call.caller, call.request, call.address)
    return Nothing()


@handles(users.LIST)
async def list_users(call: Call[users.ListUsers]) -> users.Users:
    everyone = call.request.page(call.services.access.users.everyone(), key=lambda user: user.uid)
    return users.Users(users=[users.UserSummary(uid=user.uid, name=user.name) for user in everyone])


@handles(users.GRANT)
async def grant(call: Call[users.Grant]) -> Nothing:
    request = call.request
    await call.services.access.users.grant(call.caller, request.uid, request.gid, request.permission, request.revision)
    return Nothing()


@handles(users.REVOKE)
async def revoke(call: Call[users.Revocation]) -> Nothing:
    request = call.request
    permission = request.permission if isinstance(request.permission, str) else None
    await call.services.access.users.revoke(call.caller, request.uid, request.gid, permission, request.revision)
    return Nothing()


def permission_infos(permissions: Iterable[Permission]) -> list[users.PermissionInfo]:
    return [
        users.PermissionInfo(pid=permission.pid, name=permission.value, description=permission.description)
        for permission in permissions
    ]
