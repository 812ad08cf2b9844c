"""Routes 57, 58 and 59: the hosts that one server controls, and how another machine becomes one."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from velocity.contract import names
from velocity.contract.fields import ClockAhead, UnixTime
from velocity.contract.hosts import Duty
from velocity.contract.operation import (
    Anyone,
    Change,
    Cookie,
    Failure,
    Holds,
    Method,
    Nothing,
    On,
    Operation,
    Paged,
    Wire,
)
from velocity.contract.permissions import Permission
from velocity.contract.placement import HostNumber
from velocity.contract.problems import Problem

ADDRESS = r"^(\[[0-9a-fA-F:]+\]|[^:\s\[\]/@]{1,253}):\d{1,5}\Z"

HostName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=names.PATTERN,
        extra={"name": "object"},
        description="1 to 128 printable characters; no two hosts have the same",
    ),
]
Address = Annotated[str, Meta(max_length=300, pattern=ADDRESS, description="`host:port` where its node listens")]
LABEL = Annotated[str, Meta(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?\Z")]
LabelValue = Annotated[str, Meta(max_length=63, pattern=r"^[A-Za-z0-9._/-]*\Z")]
Labels = Annotated[
    dict[LABEL, LabelValue], Meta(max_length=32, description="names and values for choosing hosts, such as `rack: a`")
]
NodeState = Literal["online", "unreachable", "joining", "dead"]


class NodePool(Wire, frozen=True):
    mpid: int
    name: str


class NodeNic(Wire, frozen=True):
    nicid: int
    identifier: str


class NodeFence(Wire, frozen=True):
    """The fence agent that powers it off."""

    agent: str
    options: Annotated[dict[str, str], Meta(description="the options that are not secret")]
    secrets: Annotated[list[str], Meta(description="the options that are set and never shown")]


class NodeDeath(Wire, frozen=True):
    """The proof that it no longer runs anything."""

    at: UnixTime
    by: Annotated[str, Meta(description="the person who confirmed it, or the fence agent that powered it off")]


class NodeBlocklist(Wire, frozen=True):
    """The clusters of its pools on RBD accept nothing from it."""

    at: UnixTime
    by: Annotated[str, Meta(description="who requested it, or the server itself")]
    addresses: list[str]
    message: Annotated[str, Meta(description="why it is still blocklisted, although it answers again")] | UnsetType = (
        UNSET
    )


class NodeInfo(Wire, frozen=True):
    """A host, in its last known state if it does not answer."""

    host: HostNumber
    name: str
    own: Annotated[bool, Meta(description="whether the server itself runs on it")]
    state: Annotated[
        NodeState,
        Meta(
            description="joining: it has not answered yet; dead: it was proven that it runs nothing, so that its "
            "VMs can be started elsewhere"
        ),
    ]
    duty: Duty
    labels: dict[str, str]
    vms: Annotated[int, Meta(description="VMs that belong to it, running or not")]
    cpus_given: Annotated[int, Meta(description="CPUs of its VMs, running or not")]
    memory_given_mib: Annotated[int, Meta(description="memory of its VMs, running or not")]
    pools: list[NodePool]
    nics: list[NodeNic]
    message: (
        Annotated[str, Meta(description="why it does not answer, or that its version is another one; and what to do")]
        | UnsetType
    ) = UNSET
    missing: (
        Annotated[str, Meta(description="what is missing before its VMs can be started elsewhere; absent: it answers")]
        | UnsetType
    ) = UNSET
    since: (
        Annotated[UnixTime, Meta(description="when it last answered; absent: it is online, or never did")] | UnsetType
    ) = UNSET
    address: (
        Annotated[str, Meta(description="absent: the server's own, unless it may stand by; or none is known")]
        | UnsetType
    ) = UNSET
    uuid: Annotated[UUID, Meta(description="absent: the server's own")] | UnsetType = UNSET
    joined: UnixTime | UnsetType = UNSET
    certificate_expires: (
        Annotated[UnixTime, Meta(description="it is renewed when a third of its time is left")] | UnsetType
    ) = UNSET
    dead: NodeDeath | UnsetType = UNSET
    blocklisted: (
        Annotated[NodeBlocklist, Meta(description="it cannot write to its disks on RBD, until it answers again")]
        | UnsetType
    ) = UNSET
    rbd_addresses: (
        Annotated[
            list[str],
            Meta(description="its client addresses in the Ceph clusters of its pools on RBD, for the blocklist"),
        ]
        | UnsetType
    ) = UNSET
    fence: Annotated[NodeFence, Meta(description="absent: no fence agent is set")] | UnsetType = UNSET
    clock_ahead: ClockAhead | UnsetType = UNSET
    version: Annotated[str, Meta(description="its version of Velocity; absent: not known yet")] | UnsetType = UNSET
    hostname: str | UnsetType = UNSET
    hypervisor: str | UnsetType = UNSET
    accelerator: str | UnsetType = UNSET
    cpus: Annotated[int, Meta(description="its own; absent: not reported")] | UnsetType = UNSET
    max_vm_cpus: Annotated[int, Meta(description="the most that one VM can have")] | UnsetType = UNSET
    memory_mib: int | UnsetType = UNSET
    keeps_copy: (
        Annotated[
            bool,
            Meta(
                description="whether it keeps a copy of the server's database, from which `velocity promote` makes it "
                "the server"
            ),
        ]
        | UnsetType
    ) = UNSET
    copied: (
        Annotated[UnixTime, Meta(description="the time of its copy; absent: none, or not known yet")] | UnsetType
    ) = UNSET
    copy_message: Annotated[str, Meta(description="why its copy is not newer")] | UnsetType = UNSET


class ListNodes(Paged[HostNumber], frozen=True):
    pass


class Nodes(Wire, frozen=True):
    nodes: list[NodeInfo]
    database: (
        Annotated[
            Literal["sqlite", "postgresql"],
            Meta(
                description="the server's database. sqlite, or absent: hosts can keep copies of it; postgresql: it has "
                "a replication of its own, and a second server stands by"
            ),
        ]
        | UnsetType
    ) = UNSET


class ShowNode(Wire, frozen=True):
    host: HostNumber


class SetNode(Change, frozen=True):
    """Absent fields keep their value."""

    host: HostNumber
    name: HostName | UnsetType = UNSET
    address: Address | UnsetType = UNSET
    duty: Duty | UnsetType = UNSET
    labels: Labels | UnsetType = UNSET
    keeps_copy: (
        Annotated[
            bool,
            Meta(
                description="send it copies of the server's database, with all secrets that are in it, so that it can "
                "become the server (`velocity promote`)"
            ),
        ]
        | UnsetType
    ) = UNSET


class RemoveNode(Change, frozen=True):
    host: HostNumber


class MakeToken(Change, frozen=True):
    host: Annotated[int, Meta(description="a known host that is to join again; absent: a new one")] | UnsetType = UNSET
    urls: (
        Annotated[
            list[Annotated[str, Meta(max_length=300, pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?\Z")]],
            Meta(
                min_length=1,
                max_length=8,
                description="where the other machine reaches this server; absent: the addresses that it listens on",
            ),
        ]
        | UnsetType
    ) = UNSET


class Token(Wire, frozen=True):
    token: Annotated[str, Meta(description="one secret word for one host, for `velocity node join`")]
    expires: UnixTime
    urls: Annotated[list[str], Meta(description="where the other machine looks for this server")]
    warnings: list[str] | UnsetType = UNSET


Digits = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class JoinNode(Change, frozen=True):
    """Nothing in it is secret, and it cannot be changed on the way: `proof` covers all other fields."""

    token: Annotated[Digits, Meta(description="identifies the token: a SHA-256 made with its secret")]
    proof: Annotated[Digits, Meta(description="HMAC-SHA-256 over the request by the token's secret")]
    uuid: UUID
    name: HostName
    address: Address
    request: Annotated[str, Meta(max_length=4096, description="a certificate request (PKCS #10, PEM)")]


class Joined(Wire, frozen=True):
    """`proof` covers all other fields: only a server that has the token's secret can make it."""

    host: HostNumber
    name: str
    certificate: str
    authority: str
    mpid: Annotated[int, Meta(description="the number of its pool, where its settings declare none")]
    proof: Digits


LIST = Operation(
    name="list_nodes",
    summary="List the hosts, with the one that the server runs on",
    method=Method.POST,
    path="/h/node/list",
    route=57,
    request=ListNodes,
    response=Nodes,
    lists={"nodes": "host"},
    needs=Holds(Permission.HOST_VIEW, On.SOMEWHERE),
    failures=(Failure(57100, 403, Problem.NO_PERMISSION, "velocity.host.view is needed on at least one group"),),
    ours=True,
)

SHOW = Operation(
    name="show_node",
    summary="Show a host as it is known to the server",
    method=Method.POST,
    path="/h/node",
    route=57,
    request=ShowNode,
    response=NodeInfo,
    needs=Holds(Permission.HOST_VIEW, On.SOMEWHERE),
    failures=(
        Failure(57101, 403, Problem.NO_PERMISSION, "velocity.host.view is needed on at least one group"),
        Failure(57110, 404, Problem.HOST_NOT_FOUND, "no such host"),
    ),
    ours=True,
)

NEEDS = "velocity.node.manage is needed on the root group"

SET = Operation(
    name="set_node",
    summary="Change a host: its duty (to drain it, or for maintenance), labels, name, address, copy of the database",
    method=Method.PATCH,
    path="/h/node",
    route=57,
    request=SetNode,
    response=NodeInfo,
    needs=Holds(Permission.NODE_MANAGE, On.ROOT),
    failures=(
        Failure(57400, 403, Problem.NO_PERMISSION, NEEDS),
        Failure(57410, 404, Problem.HOST_NOT_FOUND, "no such host"),
        Failure(57420, 409, Problem.NODE_NAME_TAKEN, "another host has that name"),
        Failure(57421, 406, Problem.NODE_OWN, "the server's own host has no address, and keeps no copy"),
        Failure(57480, 406, Problem.NO_COPIES, "the database is PostgreSQL, which has a replication of its own"),
    ),
    ours=True,
)

REMOVE = Operation(
    name="remove_node",
    summary="Remove a host that has no VMs: its certificate is no longer accepted",
    method=Method.DELETE,
    path="/h/node",
    route=57,
    request=RemoveNode,
    response=Nothing,
    needs=Holds(Permission.NODE_MANAGE, On.ROOT),
    failures=(
        Failure(57300, 403, Problem.NO_PERMISSION, NEEDS),
        Failure(57310, 404, Problem.HOST_NOT_FOUND, "no such host"),
        Failure(57320, 409, Problem.NODE_BUSY, "VMs belong to the host, or media are in its pools"),
        Failure(57321, 406, Problem.NODE_OWN, "it is the server's own host"),
    ),
    ours=True,
)

TOKEN = Operation(
    name="make_node_token",
    summary="Make a token, with which one machine becomes a host within an hour",
    method=Method.PUT,
    path="/h/node/token",
    route=58,
    request=MakeToken,
    response=Token,
    needs=Holds(Permission.NODE_MANAGE, On.ROOT),
    failures=(
        Failure(58200, 403, Problem.NO_PERMISSION, NEEDS),
        Failure(58210, 404, Problem.HOST_NOT_FOUND, "no such host"),
        Failure(58220, 409, Problem.TOO_MANY_TOKENS, "too many tokens are unused"),
        Failure(58221, 406, Problem.NODE_OWN, "the server's own host does not join"),
    ),
    ours=True,
    secret=True,
)

JOIN = Operation(
    name="join_node",
    summary="Become a host of this server with a token; `velocity node join` sends this",
    method=Method.PUT,
    path="/h/node/join",
    route=59,
    request=JoinNode,
    response=Joined,
    needs=Anyone("the proof shows that the sender has the token"),
    failures=(
        Failure(59200, 403, Problem.TOKEN_REFUSED, "the token is unknown, used or expired, or the proof is wrong"),
        Failure(59220, 409, Problem.NODE_NAME_TAKEN, "another host has that name"),
        Failure(59221, 409, Problem.NODE_KNOWN, "that machine is a host already, and the token is not for it"),
        Failure(59222, 406, Problem.NOT_A_CERTIFICATE_REQUEST, "the certificate request cannot be used"),
    ),
    cookie=Cookie.IGNORED,
    ours=True,
    secret=True,
)

OPERATIONS = (LIST, SHOW, SET, REMOVE, TOKEN, JOIN)
