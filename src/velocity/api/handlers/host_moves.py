"""Moving VMs to other hosts, and draining hosts."""

from functools import partial

from msgspec import UNSET

from velocity.api.handlers.base import Call, handles
from velocity.contract import host_moves
from velocity.contract.nodes import SetNode
from velocity.contract.tasks import TaskStarted
from velocity.machines.move.targets import Target


@handles(host_moves.TARGETS)
async def list_targets(call: Call[host_moves.ListTargets]) -> host_moves.MoveTargets:
    services = call.services
    found = await services.host_moves.targets.all(services.fleet.get(call.request.vmid))
    return host_moves.MoveTargets(hosts=[_shown(one) for one in found])


@handles(host_moves.MOVE)
async def move(call: Call[host_moves.MoveVmToHost]) -> TaskStarted:
    asked = call.request
    mpid = asked.mpid if isinstance(asked.mpid, int) else None
    return TaskStarted(tid=await call.services.host_moves.begin(call.caller, asked.vmid, asked.host, mpid))


@handles(host_moves.DRAIN)
async def drain(call: Call[host_moves.DrainNode]) -> TaskStarted:
    host, services = call.request.host, call.services
    duty = partial(services.membership.set, SetNode(host=host, duty="draining"))
    return TaskStarted(tid=await services.draining.begin(call.caller, host, duty))


def _shown(one: Target) -> host_moves.MoveTarget:
    return host_moves.MoveTarget(
        host=one.host,
        name=one.name,
        media=[host_moves.MovingMedium(mid=new.mid, mpid=new.mpid) for _, new in one.media],
        lacks=one.lacks or UNSET,
    )
