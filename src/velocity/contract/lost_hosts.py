"""Routes 48, 60 and 61: fencing a host, and confirming that a lost one is dead."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.nodes import NEEDS, NodeInfo
from velocity.contract.operation import Change, Failure, Holds, Method, Nothing, On, Operation, Wire
from velocity.contract.permissions import Permission
from velocity.contract.placement import HostNumber
from velocity.contract.problems import Problem

AgentName = Annotated[
    str,
    Meta(
        max_length=256,
        pattern=r"^(/[A-Za-z0-9._/-]*/)?fence_[A-Za-z0-9_]{1,64}\Z",
        description="a fence agent, such as fence_ipmilan; or a path in a directory of the setting `fence_agents`",
    ),
]
OptionName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_.]{0,63}\Z")]
OptionValue = Annotated[str, Meta(max_length=1024, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
TypedName = Annotated[str, Meta(max_length=128, description="the host's name, as a confirmation")]


class SetFence(Change, frozen=True):
    """Replaces everything that was set before."""

    host: HostNumber
    agent: AgentName
    options: (
        Annotated[
            dict[OptionName, OptionValue],
            Meta(max_length=64, description="of the agent, such as `ip` and `username`; secret ones are never shown"),
        ]
        | UnsetType
    ) = UNSET


class RemoveFence(Change, frozen=True):
    host: HostNumber


class TestFence(Wire, frozen=True):
    host: HostNumber

    __test__ = False  # not a test for pytest


class FencePower(Wire, frozen=True):
    host: HostNumber
    power: Annotated[Literal["on", "off"], Meta(description="what the fence agent reports about the machine")]


class FenceNode(Change, frozen=True):
    host: HostNumber
    name: TypedName


class BlocklistNode(Change, frozen=True):
    host: HostNumber
    name: TypedName


class ConfirmDead(Change, frozen=True):
    host: HostNumber
    name: TypedName


SET = Operation(
    name="set_fence",
    summary="Set the fence agent of a host",
    method=Method.PUT,
    path="/h/node/fence",
    route=60,
    request=SetFence,
    response=NodeInfo,
    needs=Holds(Permission.NODE_MANAGE, On.ROOT),
    failures=(
        Failure(60200, 403, Problem.NO_PERMISSION, NEEDS),
        Failure(60210, 404, Problem.HOST_NOT_FOUND, "no such host"),
        Failure(60220, 406, Problem.NODE_OWN, "it is the server's own host"),
        Failure(60221, 406, Problem.FENCE_AGENT, "the fence agent is not installed, or may not be run from there"),
        Failure(60222, 406, Problem.FENCE_OPTION, "an option that is not passed to fence agents"),
    ),
    ours=True,
    secret=True,
)

REMOVE = Operation(
    name="remove_fence",
    summary="Remove the fence agent of a host",
    method=Method.DELETE,
    path="/h/node/fence",
    route=60,
    request=RemoveFence,
    response=Nothing,
    needs=Holds(Permission.NODE_MANAGE, On.ROOT),
    failures=(
        Failure(60300, 403, Problem.NO_PERMISSION, NEEDS),
        Failure(60310, 404, Problem.HOST_NOT_FOUND, "no such host"),
        Failure(60320, 406, Problem.NO_FENCE, "no fence agent is set for the host"),
    ),
    ours=True,
)

TEST = Operation(
    name="test_fence",
    summary="Ask the fence agent of a host whether the machine is on",
    method=Method.POST,
    path="/h/node/fence",
    route=60,
    request=TestFence,
    response=FencePower,
    needs=Holds(Permission.NODE_MANAGE, On.ROOT),
    failures=(
        Failure(60100, 403, Problem.NO_PERMISSION, NEEDS),
        Failure(60110, 404, Problem.HOST_NOT_FOUND, "no such host"),
        Failure(60120, 406, Problem.NO_FENCE, "no fence agent is set for the host"),
        Failure(60130, 500, Problem.NOT_FENCED, "the fence agent failed; the message has its own words"),
    ),
    ours=True,
)

FENCE = Operation(
    name="fence_node",
    summary="Power a host off by its fence agent; once that is proven, it is confirmed dead",
    method=Method.PATCH,
    path="/h/node/fence",
    route=60,
    request=FenceNode,
    response=NodeInfo,
    needs=Holds(Permission.NODE_MANAGE, On.ROOT),
    failures=(
        Failure(60400, 403, Problem.NO_PERMISSION, NEEDS),
        Failure(60410, 404, Problem.HOST_NOT_FOUND, "no such host"),
        Failure(60420, 406, Problem.NO_FENCE, "no fence agent is set for the host"),
        Failure(60421, 406, Problem.NODE_NAME_OTHER, "the host has another name"),
        Failure(60430, 500, Problem.NOT_FENCED, "it is not proven to be off; the message has the agent's words"),
    ),
    ours=True,
)

CONFIRM = Operation(
    name="confirm_dead",
    summary="Confirm that a host which does not answer is dead: its VMs may be started elsewhere",
    method=Method.PUT,
    path="/h/node/dead",
    route=61,
    request=ConfirmDead,
    response=NodeInfo,
    needs=Holds(Permission.NODE_MANAGE, On.ROOT),
    failures=(
        Failure(61200, 403, Problem.NO_PERMISSION, NEEDS),
        Failure(61210, 404, Problem.HOST_NOT_FOUND, "no such host"),
        Failure(61220, 409, Problem.NODE_ANSWERS, "the host answers, so it is not lost"),
        Failure(61221, 406, Problem.NODE_OWN, "it is the server's own host"),
        Failure(61222, 406, Problem.NODE_NAME_OTHER, "the host has another name"),
    ),
    ours=True,
)

BLOCKLIST = Operation(
    name="blocklist_node",
    summary="Blocklist a host that does not answer on Ceph: VMs that write only to RBD can start elsewhere",
    method=Method.PUT,
    path="/h/node/blocklist",
    route=48,
    request=BlocklistNode,
    response=NodeInfo,
    needs=Holds(Permission.NODE_MANAGE, On.ROOT),
    failures=(
        Failure(48200, 403, Problem.NO_PERMISSION, NEEDS),
        Failure(48210, 404, Problem.HOST_NOT_FOUND, "no such host"),
        Failure(48220, 409, Problem.NODE_ANSWERS, "the host answers, so it is not lost"),
        Failure(48221, 406, Problem.NODE_OWN, "it is the server's own host"),
        Failure(48222, 406, Problem.NODE_NAME_OTHER, "the host has another name"),
        Failure(
            48223,
            406,
            Problem.NO_BLOCKLIST,
            "it has no pool on RBD, or its address there is unknown, or other hosts have the same one",
        ),
        Failure(48230, 500, Problem.NOT_FENCED, "no cluster has blocklisted it; the message has their words"),
    ),
    ours=True,
)

OPERATIONS = (SET, REMOVE, TEST, FENCE, CONFIRM, BLOCKLIST)
