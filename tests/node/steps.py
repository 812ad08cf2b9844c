"""A node whose storage takes one step after the other: at any of them it can be killed, or its network can fail."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any, cast

from tests.node.served import Served
from velocity.hypervisor.fake import FakeHypervisor
from velocity.node.remote import Connection, storage_of
from velocity.storage.declared import open_directories
from velocity.storage.directory.places import Places
from velocity.storage.port import Made, MediaRef, Storage

AGAIN = 0.05
NOT_A_STEP = ("state", "open", "close")
"""Calls that are made beside a task, too."""


class Fault(Enum):
    """What happens at a step: before it has an effect, or after it, so that its answer is lost."""

    KILLED_BEFORE = "killed before"
    KILLED_AFTER = "killed after"
    CUT_BEFORE = "cut before"
    CUT_AFTER = "cut after"

    @property
    def is_late(self) -> bool:
        return self in (Fault.KILLED_AFTER, Fault.CUT_AFTER)

    @property
    def kills(self) -> bool:
        return self in (Fault.KILLED_BEFORE, Fault.KILLED_AFTER)


class Steps:
    """Counts the steps, and stands still at one of them."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.stops_at: tuple[int, Fault] | None = None
        self.always_at = ""
        """A step before which it always stands still."""
        self.stands = asyncio.Event()

    async def take(self, name: str, step: Callable[[], Awaitable[Any]]) -> Any:
        self.taken.append(name)
        if name == self.always_at:
            self.stands.set()
            return await asyncio.Event().wait()
        if self.stops_at is None or len(self.taken) != self.stops_at[0]:
            return await step()
        _, fault = self.stops_at
        self.stops_at = None
        if fault.is_late:
            await step()
        self.stands.set()
        return await asyncio.Event().wait()


class _Stepped:
    """One part of a storage, or what it holds."""

    def __init__(self, part: Any, steps: Steps) -> None:
        self._part = part
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        if not callable(found) or name in NOT_A_STEP:
            return found
        if name == "watch":
            return self._watch

        async def stepped(*given: Any, **named: Any) -> Any:
            answer = await self._steps.take(name, lambda: found(*given, **named))
            return _Stepped(answer, self._steps) if name in ("put", "resume", "get") else answer

        return stepped

    async def _watch(self, target: MediaRef) -> AsyncIterator[Any]:
        """Its beginning is a step, and so is its end."""
        told = await self._steps.take("watch", lambda: _value(self._part.watch(target)))
        async with contextlib.aclosing(told):
            async for one in told:
                if isinstance(one, Made):
                    await self._steps.take("made", lambda: _value(None))
                yield one


async def _value(one: Any) -> Any:
    return one


def contents(path: Path, files: Iterable[Path]) -> dict[str, bytes]:
    """What is in these files, by their paths from there, without those that are put elsewhere at this moment."""
    found = {}
    for one in files:
        with contextlib.suppress(FileNotFoundError):
            found[str(one.relative_to(path))] = one.read_bytes()
    return found


class SteppedNode:
    """A node with a pool in a directory of its own. A node that is killed leaves what it had begun."""

    def __init__(self, place: Path, *mpids: int) -> None:
        self._place = place
        self._pools = [Places(mpid, f"pool{mpid}", place / str(mpid), place / "records") for mpid in mpids]
        self.steps = Steps()
        self._served = self._node()

    def _node(self) -> Served:
        def made() -> Storage:
            storage = open_directories(self._pools, None, AGAIN)
            parts = ("pools", "blobs", "trash", "jobs")
            stepped = {name: _Stepped(getattr(storage, name), self.steps) for name in parts}
            return replace(cast(Storage, storage), **stepped)

        return Served(FakeHypervisor(), made, self._place)

    async def open(self) -> Storage:
        for one in self._pools:
            one.path.mkdir(parents=True)
        await self._served.open()
        self._to: Connection = self._served.connect()
        return storage_of(self._to)

    async def suffer(self, fault: Fault) -> None:
        """At the step where it stands: it is there again a moment later."""
        before = self._served
        await before.cut()
        if fault.kills:
            await self._die()
            self._served = self._node()
        await asyncio.sleep(AGAIN)
        await self._served.open(before)

    async def _die(self) -> None:
        """Nothing of it goes on, and what it had begun is left."""
        left = contents(self._place, (one for pool in self._pools for one in pool.moving.glob("*")))
        await self._served.node.close()
        for file, content in left.items():
            (self._place / file).write_bytes(content)

    def files(self, mpid: int) -> dict[str, bytes]:
        """The objects of a pool in their places, and hidden ones by the path from there."""
        path = self._place / str(mpid)
        found = [one for place in (".", ".moving", ".trash") for one in (path / place).glob("*") if one.is_file()]
        return contents(path, found)

    async def close(self) -> None:
        await self._to.close()
        await self._served.close()
