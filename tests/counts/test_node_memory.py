"""What uploads leave behind in the process of a node."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from uuid import uuid4

import pytest

from tests.node.served import NAME, authority, identity, now
from tests.patience import PATIENCE, eventually
from velocity.cli.node_serve import ARENAS
from velocity.cli.process import keep_memory
from velocity.hypervisor.fake import FakeHypervisor
from velocity.node.names import CONTROLLER, Identity
from velocity.node.remote import Connection, NoFiles, storage_of
from velocity.node.server import Node
from velocity.node.terms import Terms
from velocity.storage.directory.places import host_places
from velocity.storage.directory.storage import open_directories
from velocity.storage.port import Belongs, MediaRef

PIECE, PIECES, AT_ONCE = 250_000, 128, 8
DEADLINE = 30.0
KEPT = 40 << 10
"""KiB. glibc keeps more than three times of that for the threads that have had the buffers."""


def serve(place: Path, own: Identity, tell: Pipe) -> None:
    keep_memory(ARENAS)

    async def run() -> None:
        node = Node(FakeHypervisor(), lambda: open_directories([host_places(place)], None), Terms(place / "node.json"))
        server, port = await node.listen("127.0.0.1:0", lambda: own)
        tell.send(port)
        await asyncio.to_thread(tell.poll, None)
        await server.stop(0)
        await node.close()

    asyncio.run(run())


def memory(pid: int) -> int:
    """KiB of its own. proc_pid_status(5)"""
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return next(int(words[1]) for words in lines if words[0] == "RssAnon:")


async def upload_and_wait(port: int, pid: int) -> None:
    to = Connection(f"127.0.0.1:{port}", NAME, identity(CONTROLLER), lambda: 1)
    storage, piece = storage_of(to, NoFiles()), os.urandom(PIECE)
    await storage.pools.open(0, (), (), (), deadline=DEADLINE)
    before = memory(pid)

    async def upload() -> None:
        ref = MediaRef(0, uuid4(), "raw")
        incoming = await storage.blobs.put(ref, deadline=DEADLINE)
        for _ in range(PIECES):
            await incoming.write(piece)
        await incoming.finish()
        await incoming.close()
        await storage.trash.settle(ref, Belongs.NOWHERE, deadline=DEADLINE)

    await asyncio.gather(*(upload() for _ in range(AT_ONCE)))
    await to.close()
    await eventually(lambda: memory(pid) - before < KEPT, "that its memory is the system's again")


@pytest.mark.holds("MANY-242")
def test_a_node_is_as_small_after_uploads_as_before(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(tmp_path, authority().identity(NAME, now()), theirs))
    process.start()
    try:
        assert ours.poll(PATIENCE), "the node does not serve"
        assert process.pid is not None
        asyncio.run(upload_and_wait(ours.recv(), process.pid))
    finally:
        ours.send("end")
        process.join(PATIENCE)
