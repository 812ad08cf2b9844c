"""Pools on RBD, beyond the law of the port: who opens images, what removes them, and what keeps a host from that."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import signal
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from tests.ceph import Ceph
from tests.one_loop import anyio_backend as anyio_backend
from tests.one_loop import one_loop as one_loop
from tests.patience import PATIENCE, asked_until, eventually
from tests.ports.storages import DEADLINE
from velocity.contract.problems import Problem, Refused
from velocity.storage.declared import open_directories
from velocity.storage.directory.disk_errors import as_refusals
from velocity.storage.directory.image_file import ImageFile
from velocity.storage.directory.images import Conversion, Images
from velocity.storage.directory.places import Places, file_name
from velocity.storage.directory.storage import DirectoryStorage
from velocity.storage.port import ONLINE, Belongs, Incoming, MediaRef, PoolState, Space
from velocity.storage.rbd import blocklist, usable
from velocity.storage.rbd.fullness import RbdFullness
from velocity.storage.rbd.places import rbd_places
from velocity.storage.rbd.rados_pool import RadosPool, failed

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("rbd")]


@dataclass(frozen=True)
class Counted(RadosPool):
    """A pool of which a cluster tells this."""

    told: str = ""

    def ceph(self, *words: str) -> str:
        return self.told if words[0] == "df" else "[]"


@pytest.mark.holds("MANY-201")
async def test_what_a_pool_may_still_take_is_what_clients_may_write(tmp_path: Path) -> None:
    told = '{"stats": {"total_bytes": 900}, "pools": [{"name": "vm", "stats": {"stored": 70, "max_avail": 200}}]}'
    pool = Counted(Path("conf"), "velocity", "vm", told=told)
    assert RbdFullness(rbd_places(1, "ceph", tmp_path, pool)).space() == Space(270, 200)
    pool = Counted(Path("conf"), "velocity", "vm", told='{"stats": {"total_bytes": 0}, "pools": []}')
    uncounted = RbdFullness(rbd_places(1, "ceph", tmp_path, pool))
    assert uncounted.space().free > 1 << 40, "without a manager nobody counts"
    assert uncounted.why() == ""
    uncounted.heard(OSError(errno.ENOSPC, "No space left"))
    assert uncounted.why(), "a write that was refused counts"
    pool = Counted(Path("conf"), "velocity", "vm", told='{"stats": {"total_bytes": 900}, "pools": []}')
    with pytest.raises(FileNotFoundError):  # in a thread, a StopIteration would reach nobody
        RbdFullness(rbd_places(1, "ceph", tmp_path, pool)).space()


async def test_what_programs_end_with_is_told_as_the_error_that_it_is() -> None:
    assert failed(108, "rbd: couldn't connect to the cluster").errno == errno.EHOSTUNREACH
    assert failed(108, "rbd: listing images failed: (108) Cannot send after transport").errno == errno.ESHUTDOWN
    assert isinstance(failed(errno.ENOENT, "rbd: error opening image x: (2) No such file"), FileNotFoundError)
    unreached = failed(1, "global_init: unable to open config file from search list /x")
    assert (unreached.errno, *unreached.__notes__) == (
        errno.EHOSTUNREACH,
        "global_init: unable to open config file from search list /x",
    )


class Pool:
    """One on RBD, as hosts have it whose data are in these directories."""

    def __init__(self, cluster: Ceph, path: Path) -> None:
        self.path = path
        self.rados = RadosPool(cluster.conf, "velocity", "vm", uuid4().hex)
        cluster.admin("rbd", "namespace", "create", self.rados.name)
        self._opened: list[DirectoryStorage] = []

    async def open(self, host: str, *kept: MediaRef, mpid: int = 2) -> tuple[DirectoryStorage, PoolState]:
        storage = open_directories([rbd_places(mpid, "ceph", self.path / host, self.rados)], None)
        self._opened.append(storage)
        return storage, await storage.pools.open(mpid, kept, (), (), deadline=DEADLINE)

    async def close(self) -> None:
        """Nothing of it outlives the cluster: it would wait for that for ever."""
        try:
            for one in self._opened:
                await one.close()
        finally:
            for pid in daemons(self.path, "/"):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
async def pool(cluster: Ceph, tmp_path: Path) -> AsyncIterator[Pool]:
    made = Pool(cluster, tmp_path)
    yield made
    await made.close()


def daemons(place: Path, file: str = "/2.rbd/lent.") -> list[int]:
    """Those that have an image open for a machine there, or another file."""
    found = []
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            found += [int(one.parent.name)] if f"mountpoint={place}{file}".encode() in one.read_bytes() else []
    return found


@pytest.mark.hosts
@pytest.mark.holds("MANY-202")
async def test_what_a_machine_has_open_outlives_the_server_and_ends_behind_the_machine(pool: Pool) -> None:
    one = MediaRef(2, uuid4(), "raw")
    storage, _ = await pool.open("a")
    await storage.blobs.create(one, 1 << 20, deadline=DEADLINE)
    await storage.trash.settle(one, Belongs.KEPT, deadline=DEADLINE)
    descriptor = storage.files.open(one, readonly=False)
    try:
        await storage.close()
        gc.collect()
        os.pwrite(descriptor, b"written", 4096)
        os.fsync(descriptor)
        storage, state = await pool.open("a", one)
        assert state.state == "online"
        assert len(daemons(pool.path / "a")) == 1, "the next server leaves it alone"
        outgoing = await storage.blobs.get(one, deadline=DEADLINE)
        assert await outgoing.read(4096, 7) == b"written"
        await outgoing.close()
    finally:
        os.close(descriptor)

    async def ended() -> bool:
        await storage.pools.state(2, deadline=DEADLINE)
        return not daemons(pool.path / "a")

    await asked_until(ended)


@pytest.mark.hosts
async def test_what_is_read_goes_when_it_is_let_go_of(pool: Pool) -> None:
    storage, _ = await pool.open("a")
    one = MediaRef(2, uuid4(), "raw")
    await storage.blobs.create(one, 4096, deadline=DEADLINE)
    await storage.trash.settle(one, Belongs.KEPT, deadline=DEADLINE)
    outgoing = await storage.blobs.get(one, deadline=DEADLINE)
    await storage.trash.lift(one, deadline=DEADLINE)
    await storage.trash.settle(one, Belongs.NOWHERE, deadline=DEADLINE)
    assert not [name for name in pool.rados.names() if file_name(one) in name]
    assert await outgoing.read(0, 10) == bytes(10)
    await outgoing.close()

    async def gone() -> bool:
        return await asyncio.to_thread(pool.rados.names) == ["velocity.pool"]

    await asked_until(gone)


@pytest.mark.hosts
@pytest.mark.holds("MANY-200")
async def test_a_pool_of_another_installation_is_not_taken(pool: Pool) -> None:
    _, state = await pool.open("a")
    assert state.state == "online"
    _, state = await pool.open("foreign", mpid=3)
    assert state.state == "away"
    assert pool.rados.names() == ["velocity.pool"]
    storage, state = await pool.open("b")
    assert state.state == "away", "a host takes it when the server says which one it is"
    mark = await storage.pools.mark(2, "", deadline=DEADLINE)
    assert mark.identity
    assert (await storage.pools.mark(2, mark.identity, deadline=DEADLINE)).taken


@pytest.mark.hosts
@pytest.mark.holds("MANY-199")
async def test_doctor_tries_it_and_names_what_is_lacking(cluster: Ceph, pool: Pool, tmp_path: Path) -> None:
    assert usable.lacks(pool.rados) == usable.hampers(pool.rados) == ""
    assert pool.rados.names() == [], "nothing remains"
    nowhere = RadosPool(tmp_path / "nowhere.conf", "velocity", "vm")
    assert f"check {nowhere.conf}" in usable.lacks(nowhere)
    cluster.ceph("auth", "get-or-create", "client.reader", "mon", "profile rbd", "osd", "profile rbd-read-only")
    keyring = cluster.path / "client.reader.keyring"
    keyring.write_text(cluster.ceph("auth", "get", "client.reader"))
    reader = RadosPool(cluster.conf, "reader", "vm", pool.rados.namespace)
    assert "profile rbd" in usable.lacks(reader)
    assert "blocklistop=rm" in usable.hampers(reader)


@pytest.mark.hosts
@pytest.mark.holds("MANY-209")
async def test_a_blocklist_tells_who_has_an_image_open_all_the_same(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the key of `profile rbd`, which may add to it and not remove."""
    monkeypatch.setattr(blocklist, "PATIENCE", 2.0)  # nobody else has it open: it stays so, however long it is looked
    storage, _ = await pool.open("a")
    mark = await storage.pools.mark(2, "", deadline=DEADLINE)
    assert mark.clients == ("127.0.0.1",)
    used, unused = MediaRef(2, uuid4(), "raw"), MediaRef(2, uuid4(), "raw")
    for one in (used, unused):
        await storage.blobs.create(one, 1 << 20, deadline=DEADLINE)
        await storage.trash.settle(one, Belongs.KEPT, deadline=DEADLINE)
    descriptor = await asyncio.to_thread(storage.files.open, used, readonly=False)
    try:
        left = await storage.pools.blocklist(2, ("192.0.2.99",), (used, unused), deadline=DEADLINE)
        assert left == ("127.0.0.1", "")
        os.pwrite(descriptor, b"others are as before", 0)
        os.fsync(descriptor)
        await storage.pools.give_up(2, deadline=DEADLINE)
        assert len(daemons(pool.path / "a")) == 1, "a machine that has not ended has it"
    finally:
        os.close(descriptor)
    await storage.pools.give_up(2, deadline=DEADLINE)
    assert daemons(pool.path / "a") == []
    await storage.pools.take_off_blocklist(2, ("192.0.2.99",), deadline=DEADLINE)
    assert "192.0.2.99" not in pool.rados.ceph("osd", "blocklist", "ls")


@pytest.mark.hosts
@pytest.mark.holds("MANY-211")
async def test_a_full_pool_is_told_and_what_would_wait_there_is_refused(cluster: Ceph, pool: Pool) -> None:
    """What a machine writes waits, and goes on when there is room."""
    storage, _ = await pool.open("a")
    one, other, late = (MediaRef(2, uuid4(), "raw") for _ in range(3))
    for ref in (one, other):
        await storage.blobs.create(ref, 1 << 20, deadline=DEADLINE)
        await storage.trash.settle(ref, Belongs.KEPT, deadline=DEADLINE)
    descriptor = await asyncio.to_thread(storage.files.open, one, readonly=False)
    try:
        os.pwrite(descriptor, b"before", 0)
        os.fsync(descriptor)
        cluster.fill()
        try:

            async def full() -> bool:
                now = await storage.pools.state(2, deadline=DEADLINE)
                return now is not None and now.state == "full"

            await asked_until(full)
            with pytest.raises(Refused) as raised:
                await storage.blobs.create(late, 1 << 20, deadline=DEADLINE)
            assert raised.value.problem is Problem.POOL_QUOTA
            with pytest.raises(Refused):
                await storage.blobs.grow(other, 2 << 20, deadline=DEADLINE)
            with pytest.raises(Refused):
                await asyncio.to_thread(storage.files.open, other, readonly=False)
            assert os.pread(descriptor, 6, 0) == b"before"
            writing = asyncio.create_task(asyncio.to_thread(os.pwrite, descriptor, b"behind", 4096))
        finally:
            cluster.drain()
        assert await writing == 6
        await asyncio.to_thread(os.fsync, descriptor)
    finally:
        os.close(descriptor)

    async def online() -> bool:
        return await storage.pools.state(2, deadline=DEADLINE) == ONLINE

    await asked_until(online)
    await storage.blobs.create(late, 1 << 20, deadline=DEADLINE)


@pytest.mark.hosts
@pytest.mark.holds("MANY-219")
async def test_what_comes_into_a_pool_that_becomes_full_is_refused_and_goes(cluster: Ceph, pool: Pool) -> None:
    """In seconds. What was written of it goes as soon as the cluster deletes anything again."""
    storage, _ = await pool.open("a")
    source, grown = MediaRef(2, uuid4(), "raw"), MediaRef(2, uuid4(), "qcow2")
    sending = await storage.blobs.put(source, deadline=DEADLINE)
    for _ in range(4):
        await sending.write(os.urandom(1 << 20))
    await sending.finish()
    await storage.blobs.create(grown, 1 << 20, deadline=DEADLINE)
    for ref in (source, grown):
        await storage.trash.settle(ref, Belongs.KEPT, deadline=DEADLINE)
    upload, copy = MediaRef(2, uuid4(), "raw"), MediaRef(2, uuid4(), "raw")
    incoming = await storage.blobs.put(upload, deadline=DEADLINE)
    await incoming.write(os.urandom(1 << 20))
    await incoming.sync()
    one = storage.directories.get(2)
    read = ImageFile(await asyncio.to_thread(one.files.openings.read, file_name(source)), one.threads)
    await asyncio.to_thread(one.files.create, file_name(copy), 4 << 20, "raw")
    write = ImageFile(await asyncio.to_thread(one.files.openings.fill, file_name(copy)), one.threads)
    cluster.fill()
    try:
        refused = asyncio.gather(*(refusal(way) for way in (
            sent(incoming), storage.blobs.grow(grown, 4 << 20, deadline=DEADLINE), copied(read, write)
        )))  # fmt: skip
        turns = 0
        async with asyncio.timeout(PATIENCE):
            while not refused.done():
                await asyncio.sleep(0.01)
                turns += 1
        assert await refused == [Problem.POOL_QUOTA] * 3
        assert turns > 10, "others are served meanwhile"
        await incoming.close()
        for file in (read, write):
            file.file.close()
        await storage.trash.settle(copy, Belongs.NOWHERE, deadline=DEADLINE)
    finally:
        cluster.drain()
    left = {"velocity.pool", file_name(source), file_name(grown)}

    def there() -> set[str]:
        return set(cluster.admin("rbd", "ls", pool.rados.name).split())

    await eventually(lambda: there() == left, "that nothing else is there")


async def refusal(way: Awaitable[object]) -> Problem:
    with pytest.raises(Refused) as raised:
        await way
    return raised.value.problem


async def sent(incoming: Incoming) -> None:
    for _ in range(40):
        await incoming.write(os.urandom(1 << 20))
    await incoming.finish()


async def copied(read: ImageFile, write: ImageFile) -> None:
    with as_refusals(Places(2, "ceph", Path("/nowhere"), Path("/nowhere")), 4 << 20):
        conversion = Conversion("raw", "raw", 4 << 20, foreign=False)
        await Images(None).convert(read, write, conversion, (2, 2), lambda _: None)
