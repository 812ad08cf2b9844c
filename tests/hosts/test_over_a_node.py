"""The fleet over a real node: what a cut line costs, and what is made up for when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests.api.world import Answer, World, world
from tests.hosts.together import Other, machine, note
from tests.node.served import Served
from tests.patience import PATIENCE, asked_until, eventually
from velocity.hosts.port import AttachedHost, Attaching, OfferedPool
from velocity.hypervisor.attached import AttachedHosts
from velocity.hypervisor.fake import FakeHypervisor
from velocity.hypervisor.port import HostId
from velocity.hypervisor.storage_ways import StorageWays
from velocity.node import remote
from velocity.node.no_files import NoFiles
from velocity.storage.fake import connect
from velocity.storage.fake.pools import FakeHost
from velocity.storage.port import Belongs, Clone, JobProgress, Made, MediaRef, Storage, Unknown
from velocity.storage.routed import routed
from velocity.store.database import Database

pytestmark = pytest.mark.anyio


class Line:
    """Another host behind a node, which can be stopped: its machines and media go on."""

    def __init__(self, notes: Path) -> None:
        self.other = Other(2, "b", (20, "fast"))
        self._notes = notes
        self._served = self._serve()

    def _serve(self) -> Served:
        return Served(self.other.fake, lambda: connect(self.other.disks), self._notes)

    async def open(self) -> Storage:
        await self._served.open()
        self._connection = self._served.connect()
        return remote.storage_of(self._connection)

    async def attach(self, database: Database, attaching: Attaching) -> None:
        storage = await self.open()
        note(database, self.other.host, self.other.name)
        known = self.other.fake.hosts.about(self.other.host)
        await attaching.attach(
            AttachedHost(
                self.other.host,
                self.other.name,
                remote.hypervisor(self._connection, known),
                storage,
                (OfferedPool(20, "fast"),),
            )
        )

    def ways(self, storage: Storage, own: FakeHost | None = None) -> StorageWays:
        """To it, and to a server's own host with these pools."""
        disks = own or FakeHost()
        pools = tuple(OfferedPool(pool.mpid, pool.name) for pool in disks.pools.values())
        hosts = AttachedHosts(AttachedHost(HostId(1), "a", FakeHypervisor(), connect(disks), pools))
        hosts.put(AttachedHost(self.other.host, self.other.name, self.other.fake, storage, (OfferedPool(20, "fast"),)))
        return StorageWays(hosts)

    async def cut(self) -> None:
        await self._served.close()

    async def heal(self) -> None:
        before = self._served
        self._served = self._serve()
        await self._served.open(before)

    async def close(self) -> None:
        await self._connection.close()
        await self._served.close()


async def unasked(mpid: int) -> None:
    """There are no shared pools."""


@pytest.fixture
async def line(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Line]:
    made = Line(tmp_path)
    yield made
    await made.close()


async def until_it_answers(w: World, vmid: int) -> None:
    await asked_until(lambda: w.ok("POST", "/v/vm", vmid=vmid), lambda vm: "unreachable_since" not in vm.body)


@pytest.mark.holds("MANY-17")
async def test_a_cut_line_is_told_and_made_up_for(tmp_path: Path, line: Line) -> None:
    pool = line.other.disks.pools[20]
    async with world(tmp_path / "data", attach=line.attach) as w:
        mid, gone = await w.medium(mpid=20), await w.medium("gone", mpid=20)
        vmid = await w.vm(media=[{"mid": mid, "mode": "VIRTIO"}])
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["host"]["name"] == "b"
        assert (await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING"))["state"] == "RUNNING"
        uuid = machine(w, vmid)

        await line.cut()
        await asked_until(lambda: w.ok("POST", "/v/vm", vmid=vmid), lambda vm: "unreachable_since" in vm.body)
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["state"] == "RUNNING"
        assert line.other.runs(uuid)
        (fast,) = [one for one in (await w.ok("POST", "/m/pool/list", gid=0))["pools"] if one["mpid"] == 20]
        assert fast["state"] == "away"
        assert fast["message"].startswith("host 'b' has not responded since ")
        assert (await w.call("DELETE", "/m/media", mid=gone)).status == 406, "and nothing was changed"
        await w.medium("own")

        await line.heal()
        await until_it_answers(w, vmid)
        assert (await w.ok("PUT", "/v/vm/state", vmid=vmid, state="PAUSED"))["state"] == "PAUSED"
        await w.ok("DELETE", "/m/media", mid=gone, purge=True)
        assert {ref.medium for ref in pool.kept} == {UUID(mid)}


@pytest.mark.holds("MANY-38")
async def test_a_host_that_did_not_hear_where_an_object_belongs_is_told_until_it_does(line: Line) -> None:
    pool, storage = line.other.disks.pools[20], await line.open()
    kept, gone = (MediaRef(20, uuid4(), "raw") for _ in range(2))
    to = routed(line.ways(storage), unasked, NoFiles(), again=0.05)
    for ref in (kept, gone):
        await to.blobs.create(ref, 4096, deadline=10)
    await line.cut()
    with pytest.raises(Unknown, match=r"^host 'b': "):
        await to.blobs.stat(20, (kept,), deadline=10)
    for belongs in (Belongs.NOWHERE, Belongs.KEPT):
        await to.trash.settle(kept, belongs, deadline=10)
    await to.trash.settle(gone, Belongs.NOWHERE, deadline=10)
    assert pool.moving.keys() == {kept, gone}
    await line.heal()
    await eventually(lambda: not pool.moving)
    assert pool.kept.keys() == {kept}, "what was said last holds"
    await to.close()


@pytest.mark.holds("MANY-58")
async def test_what_breaks_off_halfway_is_told_with_the_host_s_name(line: Line) -> None:
    storage = await line.open()
    to = routed(line.ways(storage), unasked, NoFiles(), patience=0)
    incoming = await to.blobs.put(MediaRef(20, uuid4(), "raw"), deadline=10)
    await incoming.write(b"some")
    await incoming.flush()
    await line.cut()
    with pytest.raises(Unknown, match=r"^host 'b': "):
        await incoming.finish()
    await incoming.close()
    await to.close()


@pytest.mark.holds("MANY-152")
async def test_what_is_on_its_way_to_a_host_goes_on_where_it_broke_off(line: Line) -> None:
    """Over another start of its node, in the middle of which the pool is put in order."""
    disks, storage = line.other.disks.pools[20], await line.open()
    to = routed(line.ways(storage), unasked, NoFiles(), again=0.05)
    ref = MediaRef(20, uuid4(), "raw")
    incoming = await to.blobs.put(ref, deadline=10)
    pieces = [bytes([number]) * (1 << 20) for number in range(1, 13)]
    for piece in pieces[:10]:
        await incoming.write(piece)
    await line.cut()
    assert disks.moving[ref].size >= 8 << 20, "what was made durable stays there"
    writing = asyncio.create_task(incoming.write(pieces[10]))
    await line.heal()
    await to.pools.open(20, (), (), (), deadline=10)
    await writing
    await line.cut()
    await line.heal()
    await incoming.write(pieces[11])
    await incoming.finish()
    await incoming.close()
    assert disks.moving[ref].read(0, 20 << 20) == b"".join(pieces)
    outgoing = await read_over_a_cut(to, ref, line)
    assert outgoing == b"".join(pieces)
    await to.close()


async def read_over_a_cut(to: Storage, ref: MediaRef, line: Line) -> bytes:
    await to.trash.settle(ref, Belongs.KEPT, deadline=10)
    outgoing = await to.blobs.get(ref, deadline=10)
    half = outgoing.stat.size // 2
    first = await outgoing.read(0, half)
    await line.cut()
    await line.heal()
    rest = await outgoing.read(half, half)
    await outgoing.close()
    return first + rest


@pytest.mark.holds("MANY-152")
async def test_nothing_remains_of_what_is_given_up_while_its_host_is_away(line: Line) -> None:
    disks, storage = line.other.disks.pools[20], await line.open()
    to = routed(line.ways(storage), unasked, NoFiles(), again=0.05, patience=0)
    incoming = await to.blobs.put(MediaRef(20, uuid4(), "raw"), deadline=10)
    await incoming.write(b"some")
    await incoming.sync()
    await line.cut()
    assert disks.moving
    await incoming.close()
    await line.heal()
    await eventually(lambda: not disks.moving)
    await to.close()


@pytest.mark.holds("MANY-152")
async def test_a_copy_from_host_to_host_goes_on_after_a_cut(line: Line) -> None:
    disks, there = FakeHost((1, "here")), await line.open()
    to = routed(line.ways(there, disks), unasked, NoFiles(), again=0.05)
    source, target = MediaRef(1, uuid4(), "raw"), MediaRef(20, uuid4(), "raw")
    written = await to.blobs.put(source, deadline=10)
    for number in range(1, 40):
        await written.write(bytes([number]) * (1 << 20))
    await written.finish()
    await written.close()
    await to.trash.settle(source, Belongs.KEPT, deadline=10)
    await to.jobs.prepare(Clone(source, target), deadline=10)
    await to.jobs.start(target, 0, deadline=10)
    told = to.jobs.watch(target)
    while isinstance(now := await anext(told), JobProgress) and now.done < 10 << 20:
        pass
    assert isinstance(now, JobProgress), "it is not done yet"
    await line.cut()
    await line.heal()
    (made,) = [one async for one in told if isinstance(one, Made)]
    await to.jobs.cancel(target, deadline=10)
    assert made.size == 39 << 20
    moved = line.other.disks.pools[20].moving[target]
    assert moved.read(0, made.size) == disks.pools[1].kept[source].read(0, made.size)
    await to.close()


@dataclass(frozen=True)
class Waiting:
    """A clone to another host, which the server says that it waits for."""

    w: World
    mid: str
    tid: int

    async def shown(self) -> Answer:
        return await self.w.ok("POST", "/t/task", tid=self.tid)

    async def begin(self) -> Answer:
        return await self.w.call("PUT", "/m/media/clone", mid=self.mid, mpid=20, gid=0, name="copy")


@asynccontextmanager
async def waiting_clone(data: Path, line: Line) -> AsyncIterator[Waiting]:
    """The line is cut as the first byte is to go over it."""
    pool = line.other.disks.pools[20]
    async with world(data, attach=line.attach) as w:
        clone = Waiting(w, await w.medium(), 0)
        pool.puts.clear()
        clone = replace(clone, tid=(await clone.begin())["tid"])
        await asyncio.wait_for(pool.putting.wait(), PATIENCE)
        await line.cut()
        pool.puts.set()
        await asked_until(clone.shown, lambda now: now.body.get("phase") == "waiting for host 'b'")
        yield clone


@pytest.mark.holds("MANY-287")
async def test_a_task_says_for_which_host_it_waits_and_a_request_is_refused(tmp_path: Path, line: Line) -> None:
    pool = line.other.disks.pools[20]
    async with waiting_clone(tmp_path / "data", line) as clone:
        refused = await clone.w.call("PUT", "/m/media/create", mpid=20, gid=0, name="other", size=4096)
        assert refused.status == 406 and "host 'b'" in refused["message"]
        await line.heal()
        done = await asked_until(clone.shown, lambda now: now["state"] != "RUNNING")
        assert (done["state"], "phase" in done.body) == ("DONE", False), done.body
        assert {ref.medium for ref in pool.kept} == {UUID(done["mid"])} and not pool.moving


@pytest.mark.holds("MANY-287")
async def test_a_task_that_waits_for_a_host_can_be_cancelled_and_leaves_nothing(tmp_path: Path, line: Line) -> None:
    pool = line.other.disks.pools[20]
    async with waiting_clone(tmp_path / "data", line) as clone:
        await clone.w.ok("DELETE", "/t/task", tid=clone.tid)
        assert (await clone.shown())["state"] == "CANCELLED"
        await line.heal()
        await asked_until(clone.begin, _accepted)
        await eventually(lambda: len(pool.kept) == 1 and not pool.moving)


def _accepted(answer: Answer) -> bool:
    return answer.status == 200


@pytest.mark.holds("MANY-58")
async def test_a_host_that_does_not_answer_for_a_vm_is_named(tmp_path: Path, line: Line) -> None:
    async with world(tmp_path / "data", attach=line.attach) as w:
        vmid = await w.vm(host=2)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        await line.cut()
        for path in ("/v/vm/log", "/v/vm/command"):
            assert "host 'b'" in (await w.call("POST", path, vmid=vmid))["message"]
