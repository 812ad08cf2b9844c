"""The law of the storage's port, for the fake, for directories, for both on a node, and for RBD."""

from __future__ import annotations

import lzma
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.patience import asked_until
from tests.ports.storages import DEADLINE, KINDS, RbdSubject, Subject, ref
from velocity.contract.problems import Problem, Refused
from velocity.storage.port import (
    Belongs,
    Clone,
    Import,
    Job,
    JobProgress,
    Made,
    MediaRef,
    ObjectKind,
    Storage,
    Unknown,
)

pytestmark = pytest.mark.anyio

ON_A_CLUSTER = [pytest.mark.hosts, pytest.mark.xdist_group("rbd")]
"""All such tests share one."""
DATA = b"what it holds".ljust(512, b"\0") + b"and more"


@pytest.fixture(params=[*KINDS, pytest.param("rbd", marks=ON_A_CLUSTER)])
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
    if request.param == "rbd":
        made: Subject = RbdSubject(tmp_path, request.getfixturevalue("cluster"))
    else:
        made = KINDS[request.param](tmp_path)
    await made.restart()
    yield made
    await made.close()


async def put(storage: Storage, one: MediaRef, data: bytes = DATA) -> None:
    """An object that is kept."""
    incoming = await storage.blobs.put(one, deadline=DEADLINE)
    for at in range(0, len(data), 1 << 18):
        await incoming.write(data[at : at + (1 << 18)])
    await incoming.finish()
    await incoming.close()
    await storage.trash.settle(one, Belongs.KEPT, deadline=DEADLINE)


async def content(storage: Storage, one: MediaRef) -> bytes:
    outgoing = await storage.blobs.get(one, deadline=DEADLINE)
    try:
        data = b""
        while piece := await outgoing.read(len(data), 1 << 20):
            data += piece
        assert len(data) == outgoing.stat.size
        return data
    finally:
        await outgoing.close()


async def exists(storage: Storage, one: MediaRef) -> bool:
    (stat,) = await storage.blobs.stat(one.pool, (one,), deadline=DEADLINE)
    return stat is not None


async def made(storage: Storage, job: Job, grows: int = 0) -> Made:
    """Do it whole; what it wants is allowed, up to so many bytes."""
    prepared = await storage.jobs.prepare(job, deadline=DEADLINE)
    await storage.jobs.start(job.target, prepared.size, deadline=DEADLINE)
    try:
        async for now in storage.jobs.watch(job.target):
            if isinstance(now, Made):
                await storage.trash.settle(job.target, Belongs.KEPT, deadline=DEADLINE)
                return now
            assert isinstance(now, JobProgress)
            if now.wants:
                assert grows, "it takes no more than it was allowed"
                await storage.jobs.allow(job.target, now.wants, deadline=DEADLINE)
        raise AssertionError("it ends with what was made, or refused")
    finally:
        await storage.jobs.cancel(job.target, deadline=DEADLINE)


@pytest.mark.parametrize("kind", list(ObjectKind))
async def test_a_life_of_an_object_of_each_kind(subject: Subject, kind: ObjectKind) -> None:
    storage, one = subject.storage, ref(kind=kind)
    await storage.blobs.create(one, 5000, deadline=DEADLINE)
    await storage.trash.settle(one, Belongs.KEPT, deadline=DEADLINE)
    assert await content(storage, one) == bytes(5000)
    other = MediaRef(
        one.pool, one.medium, one.format, ObjectKind.VARIABLES if kind is ObjectKind.MEDIUM else ObjectKind.MEDIUM
    )
    assert not await exists(storage, other), "kinds have bytes of their own"
    for _ in range(2):
        await storage.trash.lift(one, deadline=DEADLINE)
        await storage.trash.settle(one, Belongs.TRASH, deadline=DEADLINE)
        assert not await exists(storage, one)
        await storage.trash.restore(one, deadline=DEADLINE)
        await storage.trash.settle(one, Belongs.KEPT, deadline=DEADLINE)
        assert await content(storage, one) == bytes(5000)
    await storage.trash.lift(one, deadline=DEADLINE)
    await storage.trash.settle(one, Belongs.NOWHERE, deadline=DEADLINE)
    assert not await exists(storage, one)
    with pytest.raises(Refused):
        await storage.trash.restore(one, deadline=DEADLINE)
    await storage.trash.lift(one, deadline=DEADLINE)  # it is not there: no failure


@pytest.mark.holds("DUR-63")
async def test_what_was_left_goes_on_after_a_restart_behind_what_is_known_of_it(subject: Subject) -> None:
    left, closed, unknown = ref(), ref(), ref()
    for one in (left, closed, unknown):
        incoming = await subject.storage.blobs.put(one, deadline=DEADLINE)
        await incoming.write(b"what has come")
        await incoming.sync()
        if one is closed:
            await incoming.close()
        else:
            await incoming.leave()
            await incoming.close()
    await subject.restart(coming=(left, closed))
    for one in (closed, unknown):
        with pytest.raises(Refused) as refused:
            await subject.storage.blobs.resume(one, 4, deadline=DEADLINE)
        assert refused.value.problem is Problem.MEDIUM_NOT_FOUND
    with pytest.raises(Refused):
        await subject.storage.blobs.resume(left, 14, deadline=DEADLINE)
    incoming = await subject.storage.blobs.resume(left, 4, deadline=DEADLINE)
    await incoming.write(bytes(4096))
    await incoming.leave()
    await incoming.close()
    incoming = await subject.storage.blobs.resume(left, 4100, deadline=DEADLINE)
    await incoming.write(b" more")
    await incoming.finish()
    await incoming.close()
    await subject.storage.trash.settle(left, Belongs.KEPT, deadline=DEADLINE)
    assert await content(subject.storage, left) == b"what" + bytes(4096) + b" more", "zeros at its end have come, too"


async def test_bytes_come_and_go(subject: Subject) -> None:
    storage, one, data = subject.storage, ref(), os.urandom(3_000_001)
    incoming = await storage.blobs.put(one, deadline=DEADLINE)
    with pytest.raises(Refused):
        await storage.blobs.put(one, deadline=DEADLINE)  # it has one writer
    for at in range(0, len(data), 70_000):
        await incoming.write(data[at : at + 70_000])
        await incoming.flush()
    assert (await incoming.finish()).format == "unknown"
    await incoming.close()
    await storage.trash.settle(one, Belongs.KEPT, deadline=DEADLINE)
    outgoing = await storage.blobs.get(one, deadline=DEADLINE)
    assert await outgoing.read(2_999_990, 100) == data[2_999_990:]
    assert await outgoing.read(4_000_000, 100) == b""
    await storage.trash.lift(one, deadline=DEADLINE)
    await storage.trash.settle(one, Belongs.NOWHERE, deadline=DEADLINE)
    assert await outgoing.read(10, 20) == data[10:30], "it reads on when the object is removed"
    await outgoing.close()


async def test_what_is_not_finished_leaves_nothing(subject: Subject) -> None:
    storage, one = subject.storage, ref()
    incoming = await storage.blobs.put(one, deadline=DEADLINE)
    await incoming.write(DATA)
    await incoming.close()
    assert not await exists(storage, one)
    await put(storage, one)
    assert await content(storage, one) == DATA


async def test_the_database_decides_after_a_crash(subject: Subject) -> None:
    storage, kept, came, lost, trashed, purged = subject.storage, *(ref() for _ in range(5))
    for one in (kept, trashed, purged):
        await put(storage, one)
    for one in (trashed, purged):
        await storage.trash.lift(one, deadline=DEADLINE)
    await storage.trash.settle(purged, Belongs.TRASH, deadline=DEADLINE)
    for one in (came, lost):
        await storage.blobs.create(one, 100, deadline=DEADLINE)
    await subject.restart(kept=(kept, came), trashed=(trashed,))
    storage = subject.storage
    assert [await exists(storage, one) for one in (kept, came, lost, trashed, purged)] == [True, True] + [False] * 3
    assert await content(storage, kept) == DATA
    await storage.trash.restore(trashed, deadline=DEADLINE)
    assert await content(storage, trashed) == DATA
    with pytest.raises(Refused):
        await storage.trash.restore(purged, deadline=DEADLINE)


async def test_to_open_a_pool_again_removes_nothing(subject: Subject) -> None:
    """What is under way is not in the database yet, and who asks may know less than is true by now."""
    storage, one = subject.storage, ref()
    await storage.blobs.create(one, 100, deadline=DEADLINE)
    now = await storage.pools.open(one.pool, (), (), (), deadline=DEADLINE)
    assert now.state == "online"
    await storage.trash.settle(one, Belongs.KEPT, deadline=DEADLINE)
    assert await content(storage, one) == bytes(100)


async def test_a_pool_that_is_away_costs_its_own_objects_only(subject: Subject) -> None:
    storage, here, there, deleted = subject.storage, ref(1), ref(2), ref(2)
    for one in (here, there, deleted):
        await put(storage, one)
    await storage.trash.lift(deleted, deadline=DEADLINE)
    subject.go_away()

    async def state() -> str:
        now = await storage.pools.state(2, deadline=DEADLINE)
        now = now or await storage.pools.open(2, (there,), (), (), deadline=DEADLINE)
        assert (now.message == "") == (now.state == "online")
        return now.state

    assert await state() == "away"
    for call in (
        storage.blobs.create(ref(2), 1, deadline=DEADLINE),
        storage.blobs.get(there, deadline=DEADLINE),
        storage.blobs.put(ref(2), deadline=DEADLINE),
        storage.pools.space(2, deadline=DEADLINE),
        storage.trash.restore(deleted, deadline=DEADLINE),
        storage.jobs.prepare(Clone(there, ref(1)), deadline=DEADLINE),
    ):
        with pytest.raises(Refused) as refused:
            await call
        assert refused.value.problem in (Problem.POOL_AWAY, Problem.POOL_QUOTA)
        assert "usb" in refused.value.message or "pool" in refused.value.message
    await storage.trash.settle(deleted, Belongs.NOWHERE, deadline=DEADLINE)  # never refused
    assert await content(storage, here) == DATA
    assert (await storage.pools.space(1, deadline=DEADLINE)).free > 0
    subject.come_back()
    assert await state() == "online"
    assert await content(storage, there) == DATA

    async def removed() -> bool:
        return not await exists(storage, deleted)

    await asked_until(removed)


@pytest.mark.holds("DUR-48")
async def test_a_pool_that_hangs_is_unknown_and_holds_up_no_other(subject: Subject) -> None:
    storage, here, there = subject.storage, ref(1), ref(2)
    await put(storage, there)
    subject.hang()
    for _ in range(20):  # asked once as long as it hangs: no thread or place is used up
        with pytest.raises(Unknown):
            await storage.pools.state(2, deadline=0.05)
    await put(storage, here)
    assert await content(storage, here) == DATA
    subject.wake()

    async def online() -> bool:
        try:
            now = await storage.pools.state(2, deadline=DEADLINE)
        except Unknown:
            return False
        return (now or await storage.pools.open(2, (there,), (), (), deadline=DEADLINE)).state == "online"

    await asked_until(online)
    assert await content(storage, there) == DATA


@pytest.mark.holds("DUR-47")
async def test_settling_is_never_refused_and_is_done_when_it_can_be(subject: Subject) -> None:
    storage, one = subject.storage, ref()
    await storage.blobs.create(one, 700, deadline=DEADLINE)
    subject.block(one)
    await storage.trash.settle(one, Belongs.KEPT, deadline=DEADLINE)
    assert await content(storage, one) == bytes(700), "used from where it is"
    subject.unblock(one)
    await storage.pools.state(2, deadline=DEADLINE)

    async def settled() -> bool:
        await storage.trash.lift(one, deadline=DEADLINE)
        await storage.trash.settle(one, Belongs.TRASH, deadline=DEADLINE)
        return not await exists(storage, one)

    await asked_until(settled)


async def test_a_pool_that_is_not_declared(subject: Subject) -> None:
    storage, one = subject.storage, ref(9)
    with pytest.raises(Refused, match="no longer declared"):
        await storage.blobs.get(one, deadline=DEADLINE)
    await storage.trash.settle(one, Belongs.NOWHERE, deadline=DEADLINE)


async def test_what_the_trash_holds(subject: Subject) -> None:
    storage, many, few = subject.storage, ref(), ref()
    await put(storage, many, b"x" * 100_000)
    await put(storage, few, b"x" * 5000)
    assert await storage.trash.held(2, None, deadline=DEADLINE) == 0
    for one in (many, few):
        await storage.trash.lift(one, deadline=DEADLINE)
        await storage.trash.settle(one, Belongs.TRASH, deadline=DEADLINE)
    every = await storage.trash.held(2, None, deadline=DEADLINE)
    held = [await storage.trash.held(2, refs, deadline=DEADLINE) for refs in ((many,), (few,), (), (many, few))]
    assert held[0] > held[1] > held[2] == 0
    assert held[3] == every == held[0] + held[1]


@pytest.mark.holds("IMAGE-6")
async def test_a_clone_has_its_sources_bytes_exactly_and_reads_on_when_that_is_removed(subject: Subject) -> None:
    storage, source, target, data = subject.storage, ref(1), ref(2), os.urandom(700_000)  # no whole sectors
    await put(storage, source, data)
    job = Clone(source, target)
    assert (await storage.jobs.prepare(job, deadline=DEADLINE)).size == len(data)
    await storage.trash.lift(source, deadline=DEADLINE)
    await storage.trash.settle(source, Belongs.NOWHERE, deadline=DEADLINE)
    await storage.jobs.start(target, len(data), deadline=DEADLINE)
    (*_, last) = [one async for one in storage.jobs.watch(target)]
    assert isinstance(last, Made)
    assert last.size == len(data)
    await storage.jobs.cancel(target, deadline=DEADLINE)  # what was told as made stays
    await storage.trash.settle(target, Belongs.KEPT, deadline=DEADLINE)
    assert await content(storage, target) == data


async def test_a_job_that_is_given_up_leaves_nothing(subject: Subject) -> None:
    storage, source, target = subject.storage, ref(), ref()
    await put(storage, source, os.urandom(1 << 20))
    for started in (False, True):
        await storage.jobs.prepare(Clone(source, target), deadline=DEADLINE)
        if started:
            await storage.jobs.start(target, 1 << 20, deadline=DEADLINE)
        await storage.jobs.cancel(target, deadline=DEADLINE)
        assert not await exists(storage, target)
        with pytest.raises(Refused):
            await storage.jobs.start(target, 1, deadline=DEADLINE)
    await storage.jobs.cancel(target, deadline=DEADLINE)  # done already is success


async def test_an_import(subject: Subject, tmp_path: Path) -> None:
    storage, source, target = subject.storage, ref(), ref()
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "image", "3M"], check=True)
    await put(storage, source, (tmp_path / "image").read_bytes())
    assert (await storage.jobs.prepare(Import(source, target), deadline=DEADLINE)).size == 3 << 20
    await storage.jobs.cancel(target, deadline=DEADLINE)
    assert (await made(storage, Import(source, target))).content.format == "blank"
    assert await content(storage, target) == bytes(3 << 20)
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-b", tmp_path / "image", "-F", "qcow2", tmp_path / "on it"],
        check=True,
    )
    await put(storage, source := ref(), (tmp_path / "on it").read_bytes())
    with pytest.raises(Refused, match="backing file"):
        await storage.jobs.prepare(Import(source, ref()), deadline=DEADLINE)


async def test_what_is_unpacked_takes_what_it_is_allowed(subject: Subject) -> None:
    storage, packed, target, data = subject.storage, ref(), ref(), os.urandom(100_000) * 20
    image = lzma.compress(data, preset=0)
    await put(storage, packed, image)
    assert (await made(storage, Import(packed, target), grows=1)).size == len(data)
    assert await content(storage, target) == data
    await storage.jobs.prepare(Import(packed, target := ref()), deadline=DEADLINE)
    await storage.jobs.start(target, 0, deadline=DEADLINE)
    wanted = [now async for now in _until_it_wants(storage, target)]
    assert isinstance(wanted[-1], JobProgress)
    await storage.jobs.cancel(target, deadline=DEADLINE)  # it is not allowed
    assert not await exists(storage, target)
    await put(storage, broken := ref(), image[:-1000])
    with pytest.raises(Refused, match="truncated"):
        await made(storage, Import(broken, target), grows=1)
    assert not await exists(storage, target)


async def test_what_is_unpacked_is_looked_at_again_and_read_to_its_end(subject: Subject, tmp_path: Path) -> None:
    storage, data = subject.storage, os.urandom(1 << 20)
    halves = lzma.compress(data[:500_000], preset=0) + bytes(4096) + lzma.compress(data[500_000:], preset=0) + bytes(8)
    await put(storage, packed := ref(), halves)
    target = ref()
    assert (await made(storage, Import(packed, target), grows=1)).size == len(data)
    assert await content(storage, target) == data
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "image", "3M"], check=True)
    await put(storage, packed := ref(), lzma.compress((tmp_path / "image").read_bytes()))
    target = ref()
    assert (await storage.jobs.prepare(Import(packed, target), deadline=DEADLINE)).size == 0
    await storage.jobs.cancel(target, deadline=DEADLINE)
    assert (await made(storage, Import(packed, target), grows=1)).content.format == "blank"
    assert await content(storage, target) == bytes(3 << 20)
    await put(storage, raw := ref(), data)
    target = ref()
    assert (await made(storage, Import(raw, target))).size == len(data)
    assert await content(storage, target) == data
    await put(storage, text := ref(), b"no image")
    with pytest.raises(Refused, match="not a whole number of sectors"):
        await storage.jobs.prepare(Import(text, ref()), deadline=DEADLINE)


async def _until_it_wants(storage: Storage, target: MediaRef) -> AsyncIterator[JobProgress | Made]:
    async for now in storage.jobs.watch(target):
        yield now
        if isinstance(now, JobProgress) and now.wants:
            return
