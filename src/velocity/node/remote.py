"""A remote host: the ports of its hypervisor and its storage, over one connection to its node."""

from __future__ import annotations

import asyncio
import contextlib
import types
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, cast

import grpc
import grpc.aio
import msgspec

from velocity.contract.problems import Problem, Refused
from velocity.hosts.members import NodeCalls
from velocity.hypervisor import port as machines
from velocity.hypervisor.port import HostFacts, HostId, Hypervisor, Listing
from velocity.node import wire
from velocity.node.held import LAST, REMOTE, Held, Lost
from velocity.node.measuring import Measuring
from velocity.node.names import Identity
from velocity.node.no_files import NoFiles
from velocity.node.wire import Call, Displaced, Raised, Shape
from velocity.storage import port as storage
from velocity.storage.port import Blobs, Job, MediaRef, Prepared, Storage, Trash

OPTIONS = [
    ("grpc.max_receive_message_length", wire.LARGEST),
    ("grpc.max_send_message_length", wire.LARGEST),
    ("grpc.keepalive_time_ms", wire.KEEPALIVE),
    ("grpc.keepalive_timeout_ms", wire.KEEPALIVE),
    ("grpc.http2.ping_timeout_ms", wire.ANSWER),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
]
GRACE = 0.25
"""Seconds beyond a call's deadline in which the node itself can report that it has passed."""


class Connection:
    """A connection to one node. `term` is ours; `displaced` is called when a node has served a later leader."""

    def __init__(
        self,
        address: str,
        name: str,
        own: Identity,
        term: Callable[[], int],
        displaced: Callable[[Displaced], None] = lambda _: None,
        leader: str = "",
    ) -> None:
        """`name` is the one in the node's certificate, whatever its address is; `leader` the UUID of our machine."""
        self._channel = _channel(address, name, own)
        self._calls: dict[str, Any] = {}
        """The calls of the present channel, by path."""
        self._term = term
        self._displaced = displaced
        self._leader = leader

    async def redirect(self, address: str, name: str, own: Identity) -> None:
        """Use this address from here on. Calls in progress end as with any lost connection."""
        old, self._channel = self._channel, _channel(address, name, own)
        self._calls.clear()
        await old.close()

    def call(self, call: Call) -> Any:
        """The stub of a call on the present channel."""
        found = self._calls.get(call.path)
        if found is None:
            found = self._calls[call.path] = getattr(self._channel, SENDS[call.shape])(call.path)
        return found

    def metadata(self) -> grpc.aio.Metadata:
        return grpc.aio.Metadata((wire.TERM, str(self._term())), (wire.LEADER, self._leader))

    @contextlib.contextmanager
    def raising(self, lost: Lost) -> Iterator[None]:
        """Translates gRPC errors inside into the port's exceptions."""
        try:
            yield
        except grpc.aio.AioRpcError as failed:
            raise self.error(failed, lost) from None
        except (UnicodeDecodeError, msgspec.MsgspecError):
            raise lost("the host's answer is not understood: it may have another version of Velocity") from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise lost("the connection to the host was made anew") from None  # its channel was closed

    def error(self, failed: grpc.aio.AioRpcError, lost: Lost) -> Exception:
        """The exception for a failed call: what the node reported, or that there was no answer."""
        if failed.code() is grpc.StatusCode.UNIMPLEMENTED:
            return REFUSED[lost](UNKNOWN_CALL)
        told = failed.trailing_metadata().get(wire.ERROR) if failed.trailing_metadata() else None
        if not isinstance(told, bytes):
            if failed.code() is grpc.StatusCode.UNAVAILABLE:
                return lost(f"there is no connection to the host{_why_none(failed)}")
            return lost(f"the host does not respond ({_why(failed)})")
        one = msgspec.msgpack.decode(told, type=Raised)
        if one.kind not in wire.KINDS:
            return lost(one.message)
        raised = wire.error(one)
        if isinstance(raised, Displaced):
            self._displaced(raised)
        return raised

    async def close(self) -> None:
        await self._channel.close()


UNKNOWN_CALL = "the Velocity of this host is older than the server's, and cannot do this yet: upgrade it there"
REFUSED: Mapping[Lost, Callable[[str], Exception]] = {
    machines.Unknown: machines.HypervisorError,
    storage.Unknown: lambda words: Refused(Problem.POOL_AWAY, words),
}
"""The exception when a node does not know the call, by what its failure means otherwise."""
SENDS = {Shape.ASK: "unary_unary", Shape.FOLLOW: "unary_stream", Shape.HOLD: "stream_stream"}


def _channel(address: str, name: str, own: Identity) -> grpc.aio.Channel:
    options = [*OPTIONS, ("grpc.ssl_target_name_override", name)]
    credentials = grpc.ssl_channel_credentials(own.authority, own.key, own.certificate)
    return grpc.aio.secure_channel(address, credentials, options=options)


def node(to: Connection) -> NodeCalls:
    """The calls of the node itself."""
    return cast(NodeCalls, _part(to, wire.NODE["node"], machines.Unknown))


OTHER = "the certificate shown at its address is another one, or not valid by this server's clock"
NO_CONNECTION = {
    "connection refused": "nothing listens at its address",
    "no route to host": "no route leads to its address",
    "network is unreachable": "no route leads to its address",
    "lookup failed": "the name of its address is not known",
    "handshake failed": OTHER,
    "verification check failed": OTHER,
}
"""Why there is none, by what gRPC says of it."""


def _why_none(failed: grpc.aio.AioRpcError) -> str:
    details = (failed.details() or "").lower()
    return next((f": {words}" for sign, words in NO_CONNECTION.items() if sign in details), "")


def _why(failed: grpc.aio.AioRpcError) -> str:
    return failed.code().name.lower().replace("_", " ")


def hypervisor(to: Connection, known: HostFacts) -> Hypervisor:
    """The hypervisor of one host. `known` are its last known facts, which each `adopt` updates."""
    parts = {name: _part(to, calls, machines.Unknown) for name, calls in wire.MACHINES.items()}
    learn, adopt = parts["hosts"].about, parts["machines"].adopt

    async def adopted(host: HostId, *, deadline: float) -> Listing:
        nonlocal known
        try:
            async with asyncio.timeout(deadline):
                known = await learn(host)
                found: Listing = await adopt(host, deadline=deadline)
                return found
        except TimeoutError:
            raise machines.Unknown("the host does not respond (deadline exceeded)") from None

    each = node(to).measure
    parts["meters"].measure = Measuring(parts["meters"].measure, each, UNKNOWN_CALL).measure
    parts["machines"].adopt = adopted
    parts["machines"].close = _nothing
    parts["hosts"].about = lambda host: known
    return cast(Hypervisor, types.SimpleNamespace(**parts))


def storage_of(to: Connection) -> Storage:
    """The storage of one host."""
    parts = {name: _part(to, calls, storage.Unknown) for name, calls in wire.STORAGE.items()}
    parts["pools"].close = _nothing
    return Storage(
        pools=cast(storage.Pools, parts["pools"]),
        blobs=cast(Blobs, parts["blobs"]),
        trash=cast(Trash, parts["trash"]),
        jobs=_Jobs(parts["jobs"]),
        files=NoFiles(),
    )


async def _nothing() -> None:
    pass


class _Jobs:
    """Implements `velocity.storage.port.Jobs` for one controller, which gives up its own jobs only."""

    def __init__(self, calls: types.SimpleNamespace) -> None:
        self._calls = calls
        self._mine: set[MediaRef] = set()
        self.start = calls.start
        self.allow = calls.allow
        self.watch = calls.watch

    async def prepare(self, job: Job, *, deadline: float) -> Prepared:
        self._mine.add(job.target)
        prepared: Prepared = await self._calls.prepare(job, deadline=deadline)
        return prepared

    async def cancel(self, target: MediaRef, *, deadline: float) -> None:
        await self._calls.cancel(target, deadline=deadline)
        self._mine.discard(target)

    async def close(self) -> None:
        given_up = [self._calls.cancel(one, deadline=LAST) for one in self._mine]
        await asyncio.gather(*given_up, return_exceptions=True)


def _part(to: Connection, calls: Any, lost: Lost) -> types.SimpleNamespace:
    make = {Shape.ASK: _ask, Shape.FOLLOW: _follow, Shape.HOLD: _hold}
    return types.SimpleNamespace(**{name: make[call.shape](to, call, lost) for name, call in calls.items()})


def _ask(to: Connection, call: Call, lost: Lost) -> Any:
    async def ask(*given: Any, **named: Any) -> Any:
        deadline = named.get("deadline")
        with to.raising(lost):
            answer = await to.call(call)(
                call.request(given, named),
                timeout=None if deadline is None else deadline + GRACE,
                metadata=to.metadata(),
            )
            return call.answer(answer)

    return ask


def _follow(to: Connection, call: Call, lost: Lost) -> Any:
    async def follow(*given: Any, **named: Any) -> AsyncIterator[Any]:
        deadline = named.get("deadline")
        rpc = to.call(call)(
            call.request(given, named),
            timeout=None if deadline is None else deadline + GRACE,
            metadata=to.metadata(),
        )
        try:
            with to.raising(lost):
                async for one in rpc:
                    yield call.answer(one)
        finally:
            rpc.cancel()

    return follow


def _hold(to: Connection, call: Call, lost: Lost) -> Any:
    async def hold(*given: Any, **named: Any) -> Any:
        held = Held(to, to.call(call)(metadata=to.metadata()), lost)
        try:
            async with asyncio.timeout(named["deadline"] + GRACE):
                await held.write(call.request(given, named))
                first = await held.read()
        except TimeoutError:
            held.cancel()
            raise lost("the host does not respond (deadline exceeded)") from None
        except BaseException:
            held.cancel()
            raise
        return REMOTE[call.gives](held, first)

    return hold
