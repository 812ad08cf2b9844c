"""The calls of the two ports in gRPC, between a controller and a node.

Each call of `hypervisor.port` and `storage.port` is a method of one service, named after its part and itself, such as
`machines.start`. Its request is a map of its arguments by name, its answer the return value, both as MessagePack by
msgspec. So ports and wire cannot differ, and arguments and fields that a newer version adds with a default do not
disturb an older one. https://grpc.io/docs/what-is-grpc/core-concepts/
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from velocity.contract.problems import Problem, Refused
from velocity.hosts.members import NodeCalls
from velocity.hypervisor import port as machines
from velocity.storage import port as storage

SERVICE = "velocity.Node"
TERM = "velocity-term"
"""Request metadata: the leader's term."""
ERROR = "velocity-error-bin"
"""Trailing metadata: the exception."""
LEADER = "velocity-leader"
"""Request metadata: the UUID of the leader's machine."""
PIECE = 512 << 10
"""Bytes of an object that are gathered for one message. Fewer cost more in all, more hold up the loop longer."""
LARGEST = 320 << 20
"""Bytes of the largest message: the picture of a display at its limit of 8,192 x 8,192 pixels is 192 MiB."""
WRITE = b"\x92\xa5write\xc6"
"""The beginning of `("write", bytes)` in MessagePack, before the length in four bytes and the bytes: by it these are
copied once less. https://github.com/msgpack/msgpack/blob/master/spec.md
"""
KEEPALIVE = 1_000
"""Milliseconds of silence before a keepalive ping, and until the network has to have taken it there.

https://grpc.io/docs/guides/keepalive/
"""
ANSWER = 5_000
"""Milliseconds until the node has to have answered a ping: one that stands still has a network that takes all."""


class Shape(enum.Enum):
    """ASK: one answer. FOLLOW: a stream of answers. HOLD: an object with calls of its own."""

    ASK = "ask"
    FOLLOW = "follow"
    HOLD = "hold"


@dataclass(frozen=True)
class Call:
    """One call of a port. `gives` is the type of each answer."""

    path: str
    signature: inspect.Signature
    arguments: type[msgspec.Struct]
    gives: Any
    shape: Shape

    def request(self, given: tuple[Any, ...], named: dict[str, Any]) -> bytes:
        bound = self.signature.bind(*given, **named)
        return msgspec.msgpack.encode(self.arguments(**bound.arguments))

    def bound(self, request: bytes) -> dict[str, Any]:
        """The arguments of a request. Raises `msgspec.MsgspecError`."""
        return msgspec.structs.asdict(msgspec.msgpack.decode(request, type=self.arguments))

    def answer(self, data: bytes) -> Any:
        return msgspec.msgpack.decode(data, type=self.gives)


HELD = (machines.ByteStream, storage.Incoming, storage.Outgoing)


SENT_AS = {"pools.take_off_blocklist": "pools.unblock"}
"""Calls that have another name in the code than on the wire, where they keep the name that the version before knows."""

LOCAL = "close"
"""A call of some parts that is not sent: a controller that disconnects ends none of the node's work."""


def calls(part: str, protocol: type) -> dict[str, Call]:
    """The calls that a Protocol declares, by name."""
    declared = {
        name: one
        for name, one in vars(protocol).items()
        if inspect.isfunction(one) and name[0] != "_" and name != LOCAL
    }
    return {name: _call(f"/{SERVICE}/{_sent_as(part, name)}", one) for name, one in declared.items()}


def _sent_as(part: str, name: str) -> str:
    return SENT_AS.get(f"{part}.{name}", f"{part}.{name}")


def _call(path: str, declared: Any) -> Call:
    signature = inspect.signature(declared)
    signature = signature.replace(parameters=list(signature.parameters.values())[1:])
    hints = get_type_hints(declared)
    gives = hints.pop("return")
    defaults = {name: one.default for name, one in signature.parameters.items() if one.default is not one.empty}
    declared_fields = [(name, kind, *([defaults[name]] if name in defaults else [])) for name, kind in hints.items()]
    arguments = msgspec.defstruct("Arguments", declared_fields, kw_only=True, frozen=True)
    if gives in HELD:
        return Call(path, signature, arguments, gives, Shape.HOLD)
    if get_origin(gives) is AsyncIterator:
        return Call(path, signature, arguments, get_args(gives)[0], Shape.FOLLOW)
    return Call(path, signature, arguments, gives, Shape.ASK)


MACHINES: Mapping[str, Mapping[str, Call]] = {
    name: calls(name, get_type_hints(declared.fget)["return"])
    for name, declared in vars(machines.Hypervisor).items()
    if isinstance(declared, property)
}
"""The parts of a hypervisor, each with its calls."""
STORAGE: Mapping[str, Mapping[str, Call]] = {
    one.name: calls(one.name, get_type_hints(storage.Storage)[one.name])
    for one in fields(storage.Storage)
    if one.name != "files"  # which are the host's own
}
"""The parts of a storage, each with its calls."""
NODE: Mapping[str, Mapping[str, Call]] = {"node": calls("node", NodeCalls)}
"""The calls of the node itself."""


class Raised(msgspec.Struct, frozen=True):
    """An exception of a port. `kind` is one of `KINDS`; empty: the result of the call is not known."""

    kind: str
    message: str
    problem: str = ""
    field: str | None = None
    term: int = 0
    leader: str = ""


class Displaced(machines.HypervisorError):
    """A node has served a later leader: this server may change nothing there any more.

    `leader` is the UUID of that leader's machine; empty: the node's version does not send it.
    """

    def __init__(self, message: str, term: int = 0, leader: str = "") -> None:
        super().__init__(message)
        self.term = term
        self.leader = leader


KINDS: Mapping[str, type[Exception]] = {
    "displaced": Displaced,
    "not running": machines.NotRunning,
    "no agent": machines.NoAgent,
    "unknown": machines.Unknown,
    "refused": machines.HypervisorError,
    "storage unknown": storage.Unknown,
    "storage refused": Refused,
}
"""The more specific before the more general."""


PROBLEMS = {one.value: one for one in Problem}


def raised(error: Exception) -> Raised | None:
    """As it is sent; None: not an exception that a port declares."""
    kind = next((name for name, one in KINDS.items() if isinstance(error, one)), None)
    if kind is None:
        return None
    if isinstance(error, Refused):
        return Raised(kind, error.message, error.problem.value, error.field)
    if isinstance(error, Displaced):
        return Raised(kind, str(error), term=error.term, leader=error.leader)
    return Raised(kind, str(error))


def error(one: Raised) -> Exception:
    """As it is raised on the other side."""
    match one.kind:
        case "displaced":
            return Displaced(one.message, one.term, one.leader)
        case "storage unknown":
            return storage.Unknown(one.message)
        case "storage refused":
            return Refused(PROBLEMS.get(one.problem, Problem.POOL_AWAY), one.message, field=one.field)
    return KINDS.get(one.kind, machines.Unknown)(one.message)
