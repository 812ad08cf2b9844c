"""Groups, their members and their quotas."""

from dataclasses import asdict

from msgspec import UNSET

from velocity.access.groups import Account
from velocity.access.rules import Limits
from velocity.api.handlers.base import Call, handles
from velocity.api.handlers.users import permission_infos
from velocity.contract import groups
from velocity.contract.operation import Nothing


@handles(groups.SHOW)
async def show(call: Call[groups.ShowGroup]) -> groups.GroupInfo:
    group = call.services.directory.group(call.request.gid)
    return groups.GroupInfo(
        gid=group.gid,
        parent_gid=group.parent_gid,
        name=group.name,
        revision=call.services.directory.revision(group.gid),
        memberships=[
            groups.Member(uid=one.user.uid, name=one.user.name, permissions=permission_infos(one.permissions))
            for one in call.services.access.groups.members(call.request)
        ],
    )


@handles(groups.CREATE)
async def create(call: Call[groups.CreateGroup]) -> groups.GroupCreated:
    group = await call.services.access.groups.create(call.request.name, call.request.parent_gid)
    return groups.GroupCreated(gid=group.gid, name=group.name, parent_gid=group.parent_gid)


@handles(groups.DELETE)
async def delete(call: Call[groups.DeleteGroup]) -> Nothing:
    await call.services.access.groups.delete(call.caller, call.request, purge=call.purges(call.request.purge))
    return Nothing()


@handles(groups.LIST)
async def list_groups(call: Call[groups.ListGroups]) -> groups.Groups:
    return groups.Groups(
        groups=[
            groups.GroupSummary(
                gid=group.gid,
                parent_gid=group.parent_gid,
                name=group.name,
                permissions=permission_infos(permissions),
            )
            for group, permissions in call.services.access.groups.shown_to(call.caller, call.request)
        ]
    )


@handles(groups.SHOW_QUOTA)
async def show_quota(call: Call[groups.GroupRequest]) -> groups.QuotaInfo:
    return _quota(call.request.gid, call.services.access.groups.account(call.request.gid))


@handles(groups.SET_QUOTA)
async def set_quota(call: Call[groups.SetQuota]) -> groups.QuotaInfo:
    request = call.request
    given = {name: getattr(request, name) for name in Limits.__dataclass_fields__}
    limits = Limits(**{name: limit for name, limit in given.items() if limit is not UNSET})
    await call.services.access.groups.set_limits(request.gid, limits, request.revision)
    return _quota(request.gid, call.services.access.groups.account(request.gid))


def _quota(gid: int, account: Account) -> groups.QuotaInfo:
    return groups.QuotaInfo(
        gid=gid,
        revision=account.revision,
        limits=_limits(account.limits),
        usage=groups.Usage(**asdict(account.used)),
        left=_limits(account.left),
    )


def _limits(limits: Limits) -> groups.Quota:
    return groups.Quota(**{name: limit for name, limit in asdict(limits).items() if limit is not None})
