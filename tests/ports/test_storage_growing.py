"""The law of `Blobs.grow` and of compact clones, for the fake and for directories, each also behind a wire."""

from __future__ import annotations

import struct

import pytest

from tests.patience import asked_until
from tests.ports.storages import DEADLINE, Subject, ref
from tests.ports.test_storage import DATA, content, made, put
from tests.ports.test_storage import subject as subject
from velocity.contract.problems import Refused
from velocity.storage.port import Belongs, Clone, MediaRef, Storage

pytestmark = pytest.mark.anyio


async def disk_size(storage: Storage, one: MediaRef) -> int:
    data = await content(storage, one)
    return len(data) if one.format == "raw" else int(struct.unpack_from(">Q", data, 24)[0])


@pytest.mark.holds("DUR-75")
@pytest.mark.parametrize("format_", ["raw", "qcow2"])
async def test_a_disk_becomes_larger_and_never_smaller(subject: Subject, format_: str) -> None:
    storage, one = subject.storage, ref(format_=format_)
    await storage.blobs.create(one, 1 << 20, deadline=DEADLINE)
    await storage.trash.settle(one, Belongs.KEPT, deadline=DEADLINE)
    for size, has in ((3 << 20, 3 << 20), (2 << 20, 3 << 20), (3 << 20, 3 << 20), (1 << 33, 1 << 33)):
        await storage.blobs.grow(one, size, deadline=DEADLINE)
        if has < 1 << 30 or format_ == "qcow2":
            assert await disk_size(storage, one) == has
    await subject.restart(kept=(one,))
    (stat,) = await subject.storage.blobs.stat(one.pool, (one,), deadline=DEADLINE)
    assert stat is not None and stat.allocated < 4 << 20, "what is new takes no space"


@pytest.mark.holds("DUR-75")
async def test_what_it_holds_stays_and_what_is_new_is_zero(subject: Subject) -> None:
    one = ref()
    await put(subject.storage, one)
    await subject.storage.blobs.grow(one, 8192, deadline=DEADLINE)
    assert await content(subject.storage, one) == DATA.ljust(8192, b"\0")


@pytest.mark.holds("DUR-75")
@pytest.mark.parametrize("format_", ["raw", "qcow2"])
async def test_what_is_not_there_or_whose_pool_is_away_is_refused(subject: Subject, format_: str) -> None:
    storage, one = subject.storage, ref(format_=format_)
    with pytest.raises(Refused):
        await storage.blobs.grow(one, 8192, deadline=DEADLINE)
    await storage.blobs.create(one, 4096, deadline=DEADLINE)
    await storage.trash.settle(one, Belongs.KEPT, deadline=DEADLINE)
    subject.go_away()
    with pytest.raises(Refused):
        await storage.blobs.grow(one, 8192, deadline=DEADLINE)
    subject.come_back()
    await storage.blobs.grow(one, 8192, deadline=DEADLINE)

    async def grown() -> bool:
        return await disk_size(storage, one) == 8192

    await asked_until(grown)


@pytest.mark.holds("DUR-75")
async def test_a_compact_copy_may_take_the_place_of_what_it_was_made_of(subject: Subject) -> None:
    storage, one = subject.storage, ref()
    await put(storage, one, DATA.ljust(1 << 20, b"\0"))
    (before,) = await storage.blobs.stat(one.pool, (one,), deadline=DEADLINE)
    assert (await made(storage, Clone(one, one, compact=True))).size == 1 << 20
    assert await content(storage, one) == DATA.ljust(1 << 20, b"\0")
    (after,) = await storage.blobs.stat(one.pool, (one,), deadline=DEADLINE)
    assert before is not None and after is not None and after.allocated <= before.allocated
    prepared = await storage.jobs.prepare(Clone(one, one, compact=True), deadline=DEADLINE)
    await storage.jobs.start(one, prepared.size, deadline=DEADLINE)
    await storage.jobs.cancel(one, deadline=DEADLINE)
    assert await content(storage, one) == DATA.ljust(1 << 20, b"\0"), "what is cancelled leaves it alone"
    await subject.restart(kept=(one,))
    assert await content(subject.storage, one) == DATA.ljust(1 << 20, b"\0")
