"""A server on a loop that does not wait, which a state machine asks, kills and starts again."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from hypothesis.stateful import RuleBasedStateMachine

from tests.api.world import World
from tests.faults.clock import HastyLoop

T = TypeVar("T")


class Served(RuleBasedStateMachine):
    """`opened` is the server, `w` what is asked of it; `begin` calls `prepare`, then starts it."""

    counted: ClassVar[Counter[str]]
    opened: AbstractAsyncContextManager[World]
    w: World

    def prepare(self) -> None:
        self.loop = HastyLoop()
        self.directory = tempfile.TemporaryDirectory()
        self.data = Path(self.directory.name) / "data"
        self.number = 0
        self.dead: list[object] = []
        """The servers that were killed: one that is collected would close in order."""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        if hasattr(self, "w"):
            self.run(self.calm())
            self.run(self.opened.__aexit__(None, None, None))
            self.loop.close()
            self.directory.cleanup()

    async def calm(self) -> None:
        """Nothing fails any more: what holds then."""
        raise NotImplementedError

    async def kill(self) -> None:
        await kill(self.w, self.loop)
        self.dead.append(self.opened)


async def kill(w: World, loop: HastyLoop) -> None:
    """Nothing of it goes on, as its line to the host is cut; what its store was doing is done."""
    here = asyncio.current_task()
    while others := {one for one in asyncio.all_tasks() if one is not here}:
        for one in others:
            one.cancel()
        await asyncio.wait(others, timeout=1.0)  # who tidies up begins others, which hang
        loop.stop_timers()
    loop.end_threads()  # one that reads the database as it is closed would end the test, too
    await w.server.database.close()
    w.server.lock.close()
    await w.server.storage.pools.close()  # what it had of a pool's directory ends with its process
