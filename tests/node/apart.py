"""A node in a process of its own, as `velocity node serve` has it, with a pool of its host and machines in memory."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

from tests.node.served import NAME, authority, identity, now
from tests.patience import PATIENCE
from velocity.cli.node_serve import ARENAS
from velocity.cli.process import keep_memory
from velocity.hypervisor.fake import FakeHypervisor
from velocity.node.names import CONTROLLER, Identity
from velocity.node.remote import Connection
from velocity.node.server import Node
from velocity.node.terms import Terms
from velocity.storage.declared import open_directories
from velocity.storage.directory.places import host_places


def _serve(place: Path, own: Identity, tell: Pipe) -> None:
    keep_memory(ARENAS)

    async def run() -> None:
        node = Node(FakeHypervisor(), lambda: open_directories([host_places(place)], None), Terms(place / "node.json"))
        server, port = await node.listen("127.0.0.1:0", lambda: own)
        tell.send(port)
        await asyncio.to_thread(tell.poll, None)
        await server.stop(0)
        await node.close()

    asyncio.run(run())


@contextlib.contextmanager
def served_apart(place: Path) -> Iterator[tuple[int, int]]:
    """Its port and its pid. It ends with this."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(place, authority().identity(NAME, now()), theirs))
    process.start()
    try:
        assert ours.poll(PATIENCE), "the node does not serve"
        assert process.pid is not None
        yield ours.recv(), process.pid
    finally:
        ours.send("end")
        process.join(PATIENCE)


def controller_of(port: int) -> Connection:
    return Connection(f"127.0.0.1:{port}", NAME, identity(CONTROLLER), lambda: 1)
