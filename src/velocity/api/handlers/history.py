"""The history of a group."""

from msgspec import UNSET

from velocity.api.handlers.base import Call, handles
from velocity.contract import history


@handles(history.LIST)
async def list_history(call: Call[history.ListHistory]) -> history.History:
    return history.History(
        entries=[
            history.Entry(
                hid=hid,
                at=entry.at,
                uid=UNSET if entry.uid is None else entry.uid,
                name=entry.name,
                address=entry.address,
                request=entry.request,
                operation=entry.operation,
                gid=entry.gid,
                target=entry.target,
                status=entry.status,
                code=UNSET if entry.code is None else entry.code,
                message=UNSET if entry.message is None else entry.message,
                vmid=UNSET if entry.vmid is None else entry.vmid,
                times=UNSET if entry.times == 1 else entry.times,
            )
            for hid, entry in await call.services.history.seen(call.request)
        ]
    )
