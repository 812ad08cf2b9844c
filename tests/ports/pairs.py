"""Two hosts between which machines move: the subjects of the port's suite, twice, and what is between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.patience import eventually
from tests.ports.links import Link
from tests.ports.subjects import FakeSubject, QemuSubject, RemoteSubject, Subject
from velocity.hypervisor.fake import FakeMobility
from velocity.hypervisor.port import Landing, MovePhase


class Between(Protocol):
    """What is between two hosts."""

    async def through(self, landing: Landing) -> Landing:
        """Where the source goes to."""

    def stall_in(self, phase: MovePhase) -> None:
        """In that phase nothing comes through any more."""

    def note(self, phase: MovePhase) -> None:
        """A move has said that it is in that phase."""

    async def stalled(self) -> None:
        """Returns when that is so."""

    def cut(self) -> None:
        """Its connections break."""

    def go_on(self) -> None:
        """From here on everything comes through."""


@dataclass
class Pair:
    source: Subject
    target: Subject
    link: Between


class NoNetwork:
    """Between two in memory: what is sent waits in its phase."""

    def __init__(self, source: FakeMobility) -> None:
        self._source = source

    async def through(self, landing: Landing) -> Landing:
        return landing

    def stall_in(self, phase: MovePhase) -> None:
        self._source.holds = {phase: asyncio.Event()}

    def note(self, phase: MovePhase) -> None:
        """It knows."""

    async def stalled(self) -> None:
        await eventually(lambda: any(phase in self._source.holds for phase in self._source.under_way.values()))

    def cut(self) -> None:
        self._source.cut = True
        self._release()

    def go_on(self) -> None:
        self._source.cut = False
        self._release()

    def _release(self) -> None:
        for hold in self._source.holds.values():
            hold.set()
        self._source.holds = {}


@asynccontextmanager
async def opened(kind: str, place: Path, runtime: Path) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        for name in ("a", "b"):
            (place / name).mkdir()
        if kind == "qemu":
            source, target = (QemuSubject(place / name, runtime, uids) for name, uids in (("a", 40000), ("b", 51000)))
            link = Link()
            stack.push_async_callback(link.close)
            for host in (source, target):
                await host.open()
                stack.push_async_callback(host.close)
            yield Pair(source, target, link)
            return
        first, second = (RemoteSubject(place / name) if kind == "remote" else FakeSubject() for name in ("a", "b"))
        for fake in (first, second):
            await fake.open()
            stack.push_async_callback(fake.close)
        yield Pair(first, second, NoNetwork(first.fake.mobility))
