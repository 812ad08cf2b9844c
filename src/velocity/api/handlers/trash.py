"""The trash: list, restore and permanently remove items."""

from typing import Literal, cast

from msgspec import UNSET

from velocity.api.handlers.base import Call, Services, handles
from velocity.contract import trash
from velocity.contract.operation import Nothing
from velocity.contract.tasks import TaskStarted
from velocity.trash.port import Item


@handles(trash.LIST)
async def list_trash(call: Call[trash.ListTrash]) -> trash.Trash:
    found = await call.services.trash.seen_by(call.caller, call.request)
    return trash.Trash(items=[_info(call.services, one) for one in found])


@handles(trash.RESTORE)
async def restore(call: Call[trash.RestoreItem]) -> trash.TrashItem:
    host = None if call.request.host is UNSET else call.request.host
    return _info(call.services, await call.services.trash.restore(call.caller, call.request.trid, host))


@handles(trash.PURGE)
async def purge(call: Call[trash.TrashRequest]) -> Nothing:
    await call.services.trash.purge(call.caller, call.request.trid)
    return Nothing()


@handles(trash.EMPTY)
async def empty(call: Call[trash.EmptyTrash]) -> TaskStarted:
    trids = None if call.request.trids is UNSET else call.request.trids
    return TaskStarted(tid=await call.services.emptying.begin(call.caller, trids))


def _info(services: Services, item: Item) -> trash.TrashItem:
    what = item.what
    return trash.TrashItem(
        trid=item.trid,
        kind=cast(Literal["vm", "medium", "group"], what.kind),
        id=what.id,
        gid=what.gid,
        name=what.name,
        uid=what.uid,
        deleted=item.deleted,
        expires=services.purging.expires(item),
        size=what.size,
        disks=list(item.disks) or UNSET,
    )
