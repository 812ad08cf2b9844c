"""Two hosts between which machines move: the subjects of the port's suite, twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.ports.subjects import FakeSubject, RemoteSubject, Subject
from velocity.hypervisor.fake import FakeMobility
from velocity.hypervisor.port import MovePhase


@dataclass
class Pair:
    source: Subject
    target: Subject

    def stall(self) -> None:
        """From here on nothing comes through between the two."""
        mobility(self.source).holds = {phase: asyncio.Event() for phase in MovePhase}

    def go_on(self) -> None:
        """It does again."""
        mobility(self.source).holds.clear()


def mobility(host: Subject) -> FakeMobility:
    assert isinstance(host, FakeSubject)
    return host.fake.mobility


@asynccontextmanager
async def opened(kind: str, place: Path, runtime: Path) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        hosts: list[Subject] = []
        for name in ("a", "b"):
            (place / name).mkdir()
            host = RemoteSubject(place / name) if kind == "remote" else FakeSubject()
            await host.open()
            stack.push_async_callback(host.close)
            hosts.append(host)
        yield Pair(*hosts)
