"""What uploads leave behind in the process of a node."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from uuid import uuid4

import pytest

from tests.node.apart import controller_of, served_apart
from tests.patience import eventually
from velocity.node.remote import storage_of
from velocity.storage.port import Belongs, MediaRef

PIECE, PIECES, AT_ONCE = 250_000, 128, 8
DEADLINE = 30.0
KEPT = 40 << 10
"""KiB. glibc keeps more than three times of that for the threads that have had the buffers."""


def memory(pid: int) -> int:
    """KiB of its own. proc_pid_status(5)"""
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return next(int(words[1]) for words in lines if words[0] == "RssAnon:")


async def upload_and_wait(port: int, pid: int) -> None:
    to = controller_of(port)
    storage, piece = storage_of(to), os.urandom(PIECE)
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
    with served_apart(tmp_path) as (port, pid):
        asyncio.run(upload_and_wait(port, pid))
