"""Serves a host's hypervisor and storage to the leader, by gRPC with mutual TLS."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import grpc
import grpc.aio
import msgspec

from velocity.contract.problems import Refused
from velocity.free_memory import FreeMemory
from velocity.hosts.members import NodeCalls
from velocity.hypervisor.port import ByteStream, Hypervisor
from velocity.node import wire
from velocity.node.held import SERVE, Abandoned, Context, Requests
from velocity.node.names import CONTROLLER, Identity
from velocity.node.terms import Terms
from velocity.node.wire import Call, Displaced, Raised, Shape
from velocity.storage.port import Incoming, Storage
from velocity.uninterrupted import whole

log = logging.getLogger(__name__)

OPTIONS = [
    ("grpc.max_receive_message_length", wire.LARGEST),
    ("grpc.max_send_message_length", wire.LARGEST),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", wire.KEEPALIVE // 2),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.so_reuseport", 0),
]


class Node:
    """One host. `storage` makes a new storage for each leader, as after a restart."""

    def __init__(
        self,
        hypervisor: Hypervisor,
        storage: Callable[[], Storage],
        terms: Terms,
        own: NodeCalls | None = None,
    ) -> None:
        """`own` are the node's own calls; without them it serves its ports alone."""
        self._own = own
        self._hypervisor = hypervisor
        self._make_storage = storage
        self._storage: Storage | None = None
        self._terms = terms
        self._turn = asyncio.Lock()
        self._memory = FreeMemory()
        self._open: set[asyncio.Task[Any]] = set()
        """Open streams and held objects of the present leader."""
        self._peer = ""
        """The peer of the leader's connection. A new connection replaces one that it has lost."""

    async def listen(self, address: str, identity: Callable[[], Identity]) -> tuple[grpc.aio.Server, int]:
        """Serve at an address (`host:port`); returns the port. Each new connection gets the identity of that moment.

        Raises `RuntimeError` if the address cannot be used.
        """
        server = grpc.aio.server(options=OPTIONS)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(wire.SERVICE, self._methods()),))
        credentials = grpc.dynamic_ssl_server_credentials(
            shown(identity()), lambda: shown(identity()), require_client_authentication=True
        )
        port = server.add_secure_port(address, credentials)
        await server.start()
        return server, port

    @property
    def storage(self) -> Storage | None:
        """The storage of the present leader; None: nobody has led yet."""
        return self._storage

    async def close(self) -> None:
        """Release the host; its machines keep running."""
        await self._end_open()
        if self._storage is not None:
            await self._storage.close()

    def _methods(self) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        tables = {**wire.MACHINES, **wire.STORAGE, **({} if self._own is None else wire.NODE)}
        return {
            call.path.rpartition("/")[2]: self._method(part, name, call)
            for part, calls in tables.items()
            for name, call in calls.items()
        }

    def _method(self, part: str, name: str, call: Call) -> grpc.RpcMethodHandler[Any, Any]:
        def find() -> Callable[..., Any]:
            if part in wire.NODE:
                own: Callable[..., Any] = getattr(self._own, name)
                return own
            owner = self._hypervisor if part in wire.MACHINES else self._storage
            found: Callable[..., Any] = getattr(getattr(owner, part), name)
            return found

        match call.shape:
            case Shape.ASK:
                return grpc.unary_unary_rpc_method_handler(self._ask(call, find))
            case Shape.FOLLOW:
                return grpc.unary_stream_rpc_method_handler(self._follow(call, find))
            case Shape.HOLD:
                return grpc.stream_stream_rpc_method_handler(self._hold(call, find))

    # One call

    def _ask(self, call: Call, find: Callable[[], Callable[..., Any]]) -> Any:
        async def ask(request: bytes, context: Context) -> bytes:
            with reporting(context) as fault:
                await self._admit(context)
                answer = find()(**call.bound(request))
                return msgspec.msgpack.encode(await answer if isinstance(answer, Awaitable) else answer)
            return await fail(context, fault)

        return ask

    def _follow(self, call: Call, find: Callable[[], Callable[..., Any]]) -> Any:
        async def follow(request: bytes, context: Context) -> None:
            async with contextlib.aclosing(find()(**call.bound(request))) as answers:
                async for one in answers:
                    await context.write(msgspec.msgpack.encode(one))

        return self._for_this_leader(follow)

    def _hold(self, call: Call, find: Callable[[], Callable[..., Any]]) -> Any:
        serve = SERVE[call.gives]

        async def hold(requests: Requests, context: Context) -> None:
            held = await find()(**call.bound(await anext(requests)))
            try:
                await serve(held, requests, context)
            except (asyncio.CancelledError, Abandoned):
                if call.gives is Incoming:  # its leader may come back and continue it
                    with contextlib.suppress(Refused):
                        await held.leave()
                raise
            finally:
                await held.close()
                if call.gives is not ByteStream:  # what has passed through takes as much again
                    self._memory.is_left()

        return self._for_this_leader(hold)

    def _for_this_leader(self, serve: Callable[[Any, Context], Coroutine[Any, Any, None]]) -> Any:
        """Run a stream, or serve a held object, in a task that ends with the call or with its leader."""

        async def stream(requests: Any, context: Context) -> None:
            with reporting(context) as fault:
                await self._admit(context)
                task = asyncio.create_task(serve(requests, context))
                self._open.add(task)
                try:
                    await asyncio.wait({task})
                    if task.cancelled():
                        raise Ended
                    task.result()
                finally:
                    task.cancel()
                    await asyncio.wait({task})
                    self._open.discard(task)
                    if not task.cancelled():
                        task.exception()  # it was reported, or nobody is connected any more
                return
            await fail(context, fault)

        return stream

    # Who leads

    async def _admit(self, context: Context) -> None:
        """Raises `Displaced`, `PermissionError`."""
        check_controller(context)
        term, leader = asked_by(context)
        same = leader in ("", self._terms.leader) and context.peer() == self._peer
        if term == self._terms.highest and same and self._storage is not None:
            return
        async with self._turn:
            if self._terms.outrank(term, leader):
                raise Displaced(self._outranked(term, leader), self._terms.highest, self._terms.leader)
            if term > self._terms.highest or context.peer() != self._peer:
                await self._end_open()  # nobody receives anything over a lost connection
                self._peer = context.peer()
            if term > self._terms.highest and self._storage is not None:
                old, self._storage = self._storage, None
                await whole(old.close())  # a leader that has waited in vain asks again: it finds nothing at work
            if term > self._terms.highest or leader not in ("", self._terms.leader):
                await whole(asyncio.to_thread(self._terms.raise_to, term, leader))
            if self._storage is None:
                self._storage = self._make_storage()

    def _outranked(self, term: int, leader: str) -> str:
        led = f"this host has been led in term {self._terms.highest}; yours is {term}."
        if leader and self._terms.leader not in ("", leader):
            return f"{led} Another server leads it, on another machine: stop one of the two for good"
        return (
            f"{led} Where the database was restored from an older copy, let the host join again (velocity node token "
            "--again)"
        )

    async def _end_open(self) -> None:
        for task in self._open:
            task.cancel()
        if self._open:
            await asyncio.wait(self._open)


def check_controller(context: Context) -> None:
    """Raises `PermissionError`."""
    names = context.auth_context().get("x509_subject_alternative_name", ())
    if CONTROLLER.encode() not in names:
        raise PermissionError("the certificate is not a controller's")


def asked_by(context: Context) -> tuple[int, str]:
    """The caller's term, and the UUID of its machine, if it sends it."""
    told = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
    return int(told.get(wire.TERM, "0")), told.get(wire.LEADER, "")


def shown(one: Identity) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(one.key, one.certificate)], one.authority)


class Ended(Exception):
    """Another controller leads, or this one has another connection, or the node ends."""

    def __init__(self) -> None:
        super().__init__("the host has closed this connection")


@contextlib.contextmanager
def reporting(context: Context) -> Iterator[list[Raised]]:
    """Appends exceptions raised inside to the list, to be reported."""
    fault: list[Raised] = []
    try:
        yield fault
    except Exception as error:
        if (one := wire.raised(error)) is None:
            words = str(error)
            if not isinstance(error, Ended | Abandoned | PermissionError):
                log.exception("a call of the controller failed")
                words = "the host failed to answer: see the log of its velocity-node service"
            one = Raised("", words)
        fault.append(one)


async def fail(context: Context, fault: list[Raised]) -> Any:
    (one,) = fault
    told = ((wire.ERROR, msgspec.msgpack.encode(one)),)
    await context.abort(grpc.StatusCode.ABORTED, one.kind, told)
