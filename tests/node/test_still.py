"""A node that stands still, with a network that takes what is sent to it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from uuid import uuid4

import pytest

from tests.node.apart import controller_of, served_apart
from tests.patience import PATIENCE
from tests.ports.storages import DEADLINE
from velocity.node.remote import storage_of
from velocity.storage.port import MediaRef, Unknown


@pytest.mark.holds("MANY-252")
def test_what_waits_for_a_node_that_stands_still_is_told(tmp_path: Path) -> None:
    """As its streams have no deadline: who looks at a console there, or uploads, would wait for ever."""

    async def told(port: int, pid: int) -> None:
        to = controller_of(port)
        storage = storage_of(to)
        await storage.pools.open(0, (), (), (), deadline=DEADLINE)
        incoming = await storage.blobs.put(MediaRef(0, uuid4(), "raw"), deadline=DEADLINE)
        os.kill(pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(PATIENCE / 2):
                with pytest.raises(Unknown, match="no connection to the host"):
                    await incoming.finish()
        finally:
            os.kill(pid, signal.SIGCONT)
            await to.close()

    with served_apart(tmp_path) as (port, pid):
        asyncio.run(told(port, pid))
