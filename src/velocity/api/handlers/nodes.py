"""The hosts that the server controls."""

from velocity.api.handlers.base import Call, handles
from velocity.contract import nodes
from velocity.contract.operation import Nothing


@handles(nodes.LIST)
async def list_nodes(call: Call[nodes.ListNodes]) -> nodes.Nodes:
    membership = call.services.membership
    found = await membership.all(call.request)
    return nodes.Nodes(nodes=found, database="sqlite" if membership.copied else "postgresql")


@handles(nodes.SHOW)
async def show_node(call: Call[nodes.ShowNode]) -> nodes.NodeInfo:
    return await call.services.membership.show(call.request.host)


@handles(nodes.SET)
async def set_node(call: Call[nodes.SetNode]) -> nodes.NodeInfo:
    return await call.services.membership.set(call.request)


@handles(nodes.REMOVE)
async def remove_node(call: Call[nodes.RemoveNode]) -> Nothing:
    await call.services.membership.remove(call.request.host)
    return Nothing()


@handles(nodes.TOKEN)
async def make_node_token(call: Call[nodes.MakeToken]) -> nodes.Token:
    return await call.services.membership.joining.make_token(call.request.host, call.request.urls)


@handles(nodes.JOIN)
async def join_node(call: Call[nodes.JoinNode]) -> nodes.Joined:
    with call.services.access.users.throttle.attempt(None, call.address) as right:
        joined = await call.services.membership.joining.join(call.request)
        right()
        return joined
