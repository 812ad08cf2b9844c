"""A server with other hosts than its own: each a hypervisor and a storage in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, insert, select

from tests.api.world import World, world
from velocity.hosts.port import AttachedHost, Attaching, OfferedPool
from velocity.hypervisor.fake import FACTS, FakeHypervisor
from velocity.hypervisor.port import HostFacts, HostId
from velocity.storage.fake import connect
from velocity.storage.fake.pools import FakeHost
from velocity.storage.port import Storage
from velocity.store.database import Database
from velocity.store.tables import hosts

AGAIN = 0.05
"""Seconds until storage in memory tries again."""


class Other:
    """One of them, as long as the test: its machines and media outlive the server. `about` is how it is attached."""

    def __init__(self, number: int, name: str, *pools: tuple[int, str], facts: HostFacts = FACTS, **about: Any) -> None:
        self.host = HostId(number)
        self.name = name
        self.fake = FakeHypervisor(facts)
        self.disks = FakeHost((0, "own"), *pools)
        self.storage: Storage | None = None
        self.about = {"pools": tuple(OfferedPool(*pool) for pool in pools), **about}

    def attached(self, **changed: Any) -> AttachedHost:
        """As a server has it that has just connected; or, once it has, as it is now."""
        self.about |= changed
        if self.storage is None:
            self.storage = self.connect()
        return AttachedHost(self.host, self.name, self.fake, self.storage, **self.about)

    def connect(self) -> Storage:
        """What a server has that has just connected."""
        return connect(self.disks, AGAIN)

    def runs(self, machine: UUID) -> bool:
        return machine in self.fake.runs


def note(database: Database, host: HostId, name: str) -> None:
    """In the table of hosts, as one that has joined is."""

    def work(connection: Connection) -> None:
        if connection.execute(select(hosts.c.host_id).where(hosts.c.host_id == host)).first() is None:
            connection.execute(insert(hosts).values(host_id=host, name=name, uuid=str(uuid4())))

    database.read(work)


def attaching(*others: Other) -> Callable[[Database, Attaching], Awaitable[None]]:
    """What tells a server of them, at its start."""

    async def attach(database: Database, to: Attaching) -> None:
        for one in others:
            one.storage = None
            note(database, one.host, one.name)
            await to.attach(one.attached())

    return attach


@asynccontextmanager
async def together(data: Path, *others: Other, **more: Any) -> AsyncIterator[World]:
    async with world(data, attach=attaching(*others), **more) as w:
        yield w


def machine(w: World, vmid: int) -> UUID:
    return w.server.services.fleet.get(vmid).machine.uuid


def smaller(**facts: Any) -> HostFacts:
    return replace(FACTS, **facts)
