"""A shared pool whose hosts are behind real nodes: one of them is lost in the middle of something, and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests.api.images import wait
from tests.api.world import World, world
from tests.hosts.sharing import MPID, NAME
from tests.hosts.together import AGAIN, note
from tests.node.served import Served
from tests.patience import eventually
from velocity.hosts.port import AttachedHost, Attaching, OfferedPool
from velocity.hypervisor.fake import FakeHypervisor
from velocity.hypervisor.port import HostId
from velocity.node import remote
from velocity.storage.fake import connect
from velocity.storage.fake.pools import FakeHost, FakePool, FakeShared, Hangs
from velocity.storage.port import MediaRef, Unknown
from velocity.store.database import Database

pytestmark = pytest.mark.anyio

BYTES = bytes(range(256)) * 20_000


class Node:
    """One of the hosts. Its machines outlive it."""

    def __init__(self, number: int, name: str, notes: Path, storage: FakeShared) -> None:
        self.host, self.name = HostId(number), name
        self.fake = FakeHypervisor()
        self.disks = FakeHost((0, "own"), shared={(MPID, NAME): storage})
        self._notes = notes / name
        self._notes.mkdir()
        self._served = Served(self.fake, lambda: connect(self.disks, AGAIN), self._notes)

    @property
    def pool(self) -> FakePool:
        return self.disks.pools[MPID]

    async def attach(self, database: Database, to: Attaching) -> None:
        await self._served.open()
        self._connection = self._served.connect()
        note(database, self.host, self.name)
        hypervisor = remote.hypervisor(self._connection, self.fake.hosts.about(self.host))
        storage = remote.storage_of(self._connection)
        pools = (OfferedPool(MPID, NAME, shared=True),)
        await to.attach(AttachedHost(self.host, self.name, hypervisor, storage, pools))

    async def cut(self) -> None:
        await self._served.cut()

    async def heal(self) -> None:
        self.pool.wake()
        await self._served.open(self._served)

    async def close(self) -> None:
        await self._connection.close()
        await self._served.close()


class Nodes:
    def __init__(self, notes: Path) -> None:
        self.storage = FakeShared()
        self.b, self.c = Node(2, "b", notes, self.storage), Node(3, "c", notes, self.storage)

    async def attach(self, database: Database, to: Attaching) -> None:
        for one in (self.b, self.c):
            await one.attach(database, to)

    def media(self) -> set[UUID]:
        return {ref.medium for ref in self.storage.kept}


@pytest.fixture
async def nodes(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Nodes]:
    made = Nodes(tmp_path)
    yield made
    for one in (made.b, made.c):
        one.pool.wake()
        await one.close()


async def uploaded(w: World, name: str = "data") -> str:
    answer = await w.upload(BYTES, x_velocity_mpid=str(MPID), x_velocity_name=name, x_velocity_type="DISK")
    return str(answer.body.get("mid", ""))


async def until_served_by(w: World, node: Node) -> None:
    await eventually(lambda: w.server.hosts.hosts.host_of(MPID) == node.host)


async def left(w: World, nodes: Nodes) -> MediaRef:
    """An upload that was left half-way, by way of a host that is lost then."""
    ref = MediaRef(MPID, uuid4(), "raw")
    incoming = await w.server.services.blobs.put(ref, deadline=10)
    await incoming.write(b"some")
    await incoming.leave()
    await incoming.close()
    await nodes.b.cut()
    await until_served_by(w, nodes.c)
    return ref


async def whole(w: World, nodes: Nodes, ref: MediaRef) -> bytes:
    """What is there once the rest has come, by way of whoever serves the pool now."""
    again = await w.server.services.blobs.resume(ref, 4, deadline=10)
    await again.write(b"more")
    await again.finish()
    await again.close()
    return bytes(nodes.storage.moving[ref].read(0, 8))


async def content(w: World, mid: str) -> bytes:
    ref: MediaRef = w.server.services.library.get(UUID(mid)).ref
    outgoing = await w.server.services.blobs.get(ref, deadline=10)
    try:
        return await outgoing.read(0, 1 << 24)
    finally:
        await outgoing.close()


@pytest.mark.holds("MANY-119")
async def test_a_job_whose_host_is_lost_fails_and_another_host_serves_the_pool(tmp_path: Path, nodes: Nodes) -> None:
    async with world(tmp_path / "data", attach=nodes.attach) as w:
        mid = await uploaded(w)
        assert w.server.hosts.hosts.host_of(MPID) == nodes.b.host
        nodes.b.pool.after(4, Hangs())
        task = await w.ok("PUT", "/m/media/clone", mid=mid, mpid=MPID, gid=0, name="copy")
        await eventually(lambda: not nodes.b.pool.answers.is_set())
        await nodes.b.cut()
        ended = await wait(w, task)
        assert ended["state"] == "FAILED" and "b" in ended["message"], ended

        await until_served_by(w, nodes.c)
        assert await content(w, mid) == BYTES
        second = await uploaded(w, "second")
        await w.ok("DELETE", "/m/media", mid=mid)
        await nodes.b.heal()
        await eventually(lambda: not nodes.storage.moving)
        assert nodes.media() == {UUID(second)}
        assert {ref.medium for ref in nodes.storage.trash} == {UUID(mid)}
        assert w.server.hosts.hosts.host_of(MPID) == nodes.c.host


@pytest.mark.holds("MANY-119")
async def test_what_came_by_way_of_a_host_that_is_lost_does_not_stay_behind(tmp_path: Path, nodes: Nodes) -> None:
    async with world(tmp_path / "data", attach=nodes.attach) as w:
        first = await uploaded(w)
        nodes.b.pool.after(3, Hangs())
        sending = asyncio.create_task(uploaded(w, "cut"))
        await eventually(lambda: not nodes.b.pool.answers.is_set())
        await nodes.b.cut()
        assert await sending == ""
        await until_served_by(w, nodes.c)
        await eventually(lambda: not nodes.storage.moving)
        assert await uploaded(w, "cut"), "its name is free"
        await nodes.b.heal()
        assert UUID(first) in nodes.media() and len(nodes.media()) == 2


@pytest.mark.holds("MANY-120")
async def test_an_upload_goes_on_by_another_host_only_when_none_may_be_writing_yet(
    tmp_path: Path, nodes: Nodes
) -> None:
    async with world(tmp_path / "data", attach=nodes.attach) as w:
        await uploaded(w)
        ref = await left(w, nodes)
        with pytest.raises(Unknown, match=r"^host 'b' has not responded since .*, and may still be writing to it"):
            await w.server.services.blobs.resume(ref, 4, deadline=10)
        await nodes.b.heal()
        await eventually(lambda: nodes.b.host not in w.server.hosts.hosts.silent)
        assert await whole(w, nodes, ref) == b"somemore"


@pytest.mark.holds("MANY-190")
async def test_an_upload_does_not_wait_for_a_host_that_is_confirmed_dead(tmp_path: Path, nodes: Nodes) -> None:
    async with world(tmp_path / "data", attach=nodes.attach) as w:
        await uploaded(w)
        ref = await left(w, nodes)
        await w.ok("PUT", "/h/node/dead", host=nodes.b.host, name="b")
        assert await whole(w, nodes, ref) == b"somemore"
