"""Route 5."""

from velocity.api.handlers.base import Call, handles
from velocity.contract import groups


@handles(groups.CREATE)
async def create(call: Call[groups.CreateGroup]) -> groups.GroupCreated:
    group = await call.services.access.create_group(call.request.name, call.request.parent_gid)
    return groups.GroupCreated(gid=group.gid, name=group.name, parent_gid=group.parent_gid)
