"""A node in this process, and a connection to it as a controller has one: gRPC with mutual TLS, over loopback."""

from __future__ import annotations

import datetime
import functools
import weakref
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import grpc.aio

from tests.reserved import reserved
from velocity.hosts.members import NodeCalls
from velocity.hypervisor.port import Hypervisor
from velocity.node.certificates import Authority
from velocity.node.names import CONTROLLER, Identity, node_name
from velocity.node.remote import Connection
from velocity.node.server import Node
from velocity.node.terms import Terms
from velocity.node.wire import Displaced
from velocity.storage.port import Storage

NAME = node_name(UUID(int=1), 1)


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@functools.cache
def authority() -> Authority:
    return Authority.make(now())


@functools.cache
def identity(name: str) -> Identity:
    return authority().identity(name, now())


class Place:
    """An address whose port is reserved as long as this object is there."""

    def __init__(self) -> None:
        bound = reserved()
        self.address = f"127.0.0.1:{bound.getsockname()[1]}"
        weakref.finalize(self, bound.close)


class Served:
    """A node and its address."""

    def __init__(
        self, hypervisor: Hypervisor, storage: Callable[[], Storage], notes: Path, own: NodeCalls | None = None
    ) -> None:
        self.node = Node(hypervisor, storage, Terms(notes / "node.json"), own)
        self.address = ""
        """Its port is reserved as long as this object is there, or one that took it over."""
        self.place: Place | None = None
        self._server: grpc.aio.Server | None = None

    async def open(self, before: Served | None = None) -> None:
        """At an address of its own, or at that of one before, which was cut off or closed."""
        self.place = Place() if before is None else before.place
        assert self.place is not None, "the one before was open"
        self.address = self.place.address
        self._server, _ = await self.node.listen(self.address, lambda: identity(NAME))

    def connect(
        self, term: int = 1, displaced: Callable[[Displaced], None] = lambda _: None, leader: str = ""
    ) -> Connection:
        return Connection(self.address, NAME, identity(CONTROLLER), lambda: term, displaced, leader)

    async def cut(self) -> None:
        """Its network is gone, until it is opened again; what is under way there goes on."""
        assert self._server is not None
        await self._server.stop(0)

    async def close(self) -> None:
        await self.node.close()
        if self._server is not None:
            await self._server.stop(0)
