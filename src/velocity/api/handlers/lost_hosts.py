"""Lost hosts: fencing them, and confirming that they are dead."""

from typing import Any

from velocity.api.handlers.base import Call, handles
from velocity.contract import lost_hosts, nodes
from velocity.contract.operation import Nothing


@handles(lost_hosts.SET)
async def set_fence(call: Call[lost_hosts.SetFence]) -> nodes.NodeInfo:
    await call.services.membership.lost.set_fence(call.request)
    return await call.services.membership.show(call.request.host)


@handles(lost_hosts.REMOVE)
async def remove_fence(call: Call[lost_hosts.RemoveFence]) -> Nothing:
    await call.services.membership.lost.remove_fence(call.request.host)
    return Nothing()


@handles(lost_hosts.TEST)
async def test_fence(call: Call[lost_hosts.TestFence]) -> lost_hosts.FencePower:
    return await call.services.membership.lost.test(call.request.host)


@handles(lost_hosts.FENCE)
async def fence_node(call: Call[lost_hosts.FenceNode]) -> nodes.NodeInfo:
    await call.services.membership.lost.fence(call.request)
    return await call.services.membership.show(call.request.host)


@handles(lost_hosts.CONFIRM)
async def confirm_dead(call: Call[lost_hosts.ConfirmDead]) -> nodes.NodeInfo:
    await call.services.membership.lost.confirm(call.request, _called(call))
    return await call.services.membership.show(call.request.host)


@handles(lost_hosts.BLOCKLIST)
async def blocklist_node(call: Call[lost_hosts.BlocklistNode]) -> nodes.NodeInfo:
    await call.services.membership.lost.blocklist(call.request, _called(call))
    return await call.services.membership.show(call.request.host)


def _called(call: Call[Any]) -> str:
    user = call.services.directory.users.get(call.caller.uid)
    return "somebody" if user is None else user.name
