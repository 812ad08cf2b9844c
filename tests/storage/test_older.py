"""Objects that are made anew under their name, while something is left to be done with the older one."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from velocity.contract.problems import Problem, Refused
from velocity.storage.declared import open_directories
from velocity.storage.directory.places import Places, file_name
from velocity.storage.directory.storage import DirectoryStorage
from velocity.storage.port import Belongs, Clone, MediaRef

pytestmark = pytest.mark.anyio

MPID, DEADLINE, NEVER = 2, 10.0, 1e6
SIZE = 8192
OLD = b"old".ljust(SIZE, b".")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(MPID, "usb", tmp_path / "usb", tmp_path / "records")


@pytest.fixture
async def storage(places: Places, anyio_backend: str) -> AsyncIterator[DirectoryStorage]:
    made = open_directories([places], None, NEVER)
    await made.pools.open(MPID, (), (), (), deadline=DEADLINE)
    yield made
    await made.close()


@pytest.fixture
async def medium(storage: DirectoryStorage) -> MediaRef:
    one = MediaRef(MPID, uuid4(), "raw")
    await receive(storage, one, OLD)
    await storage.trash.settle(one, Belongs.KEPT, deadline=DEADLINE)
    return one


async def receive(storage: DirectoryStorage, one: MediaRef, content: bytes) -> None:
    incoming = await storage.blobs.put(one, deadline=DEADLINE)
    await incoming.write(content)
    await incoming.finish()
    await incoming.close()


async def read(storage: DirectoryStorage, one: MediaRef) -> bytes:
    outgoing = await storage.blobs.get(one, deadline=DEADLINE)
    try:
        return await outgoing.read(0, 2 * SIZE)
    finally:
        await outgoing.close()


@contextmanager
def away(places: Places) -> Iterator[None]:
    """Nothing can be put in order in the pool."""
    aside = places.mark.rename(places.mark.with_name("aside"))
    yield
    aside.rename(places.mark)


async def replaced(storage: DirectoryStorage, places: Places, one: MediaRef) -> None:
    """As a disk is compacted while its VM runs; its file cannot be moved to its place at once."""
    await storage.blobs.create(one, SIZE, deadline=DEADLINE)
    with away(places):
        await storage.trash.settle(one, Belongs.KEPT, deadline=DEADLINE)
    assert (places.moving / file_name(one)).exists()


@pytest.mark.holds("DUR-96")
async def test_what_was_committed_is_used_although_it_is_not_in_its_place_yet(
    storage: DirectoryStorage, places: Places, medium: MediaRef
) -> None:
    await replaced(storage, places, medium)
    assert await read(storage, medium) == bytes(SIZE)
    (stat,) = await storage.blobs.stat(MPID, (medium,), deadline=DEADLINE)
    assert stat is not None and stat.allocated < SIZE


@pytest.mark.holds("DUR-96")
async def test_what_was_committed_is_not_lost_when_it_is_replaced_once_more(
    storage: DirectoryStorage, places: Places, medium: MediaRef
) -> None:
    await replaced(storage, places, medium)
    await storage.blobs.create(medium, SIZE, deadline=DEADLINE)
    await storage.trash.settle(medium, Belongs.NOWHERE, deadline=DEADLINE)
    assert await read(storage, medium) == bytes(SIZE)


@pytest.mark.holds("DUR-96")
@pytest.mark.parametrize("way", ["create", "put", "job"])
async def test_nothing_is_begun_before_what_was_committed_is_in_its_place(
    storage: DirectoryStorage, places: Places, medium: MediaRef, way: str
) -> None:
    await replaced(storage, places, medium)
    place = places.kept(file_name(medium))
    place.unlink()
    place.mkdir()
    begun: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "create": lambda: storage.blobs.create(medium, SIZE, deadline=DEADLINE),
        "put": lambda: storage.blobs.put(medium, deadline=DEADLINE),
        "job": lambda: storage.jobs.prepare(Clone(medium, medium, compact=True), deadline=DEADLINE),
    }
    with pytest.raises(Refused) as raised:
        await begun[way]()
    assert raised.value.problem is not Problem.MEDIUM_NOT_FOUND
    await storage.jobs.cancel(medium, deadline=DEADLINE)
    place.rmdir()
    assert await read(storage, medium) == bytes(SIZE)


@pytest.mark.holds("DUR-96")
async def test_what_an_attempt_has_left_is_not_in_the_way_of_the_next_one(
    storage: DirectoryStorage, places: Places
) -> None:
    one = MediaRef(MPID, uuid4(), "raw")
    incoming = await storage.blobs.put(one, deadline=DEADLINE)
    await incoming.write(OLD)
    await incoming.flush()
    with away(places):
        await incoming.close()
    assert (places.moving / file_name(one)).exists()
    await receive(storage, one, b"new")
    await storage.pools.state(MPID, deadline=DEADLINE)  # which repeats what was refused
    await storage.trash.settle(one, Belongs.KEPT, deadline=DEADLINE)
    assert await read(storage, one) == b"new"


@pytest.mark.holds("DUR-96")
async def test_an_empty_object_has_nothing_of_an_older_one_of_its_name(
    storage: DirectoryStorage, places: Places
) -> None:
    one = MediaRef(MPID, uuid4(), "raw")
    (places.moving / file_name(one)).write_bytes(OLD)
    await storage.blobs.create(one, SIZE, deadline=DEADLINE)
    await storage.trash.settle(one, Belongs.KEPT, deadline=DEADLINE)
    assert await read(storage, one) == bytes(SIZE)


async def test_what_cannot_be_removed_at_once_is_gone_for_who_asks(
    storage: DirectoryStorage, places: Places, medium: MediaRef
) -> None:
    """The host itself repeats it: a server that saw it would tell it again and again."""
    await storage.trash.lift(medium, deadline=DEADLINE)
    with away(places):
        await storage.trash.settle(medium, Belongs.NOWHERE, deadline=DEADLINE)
    assert (places.moving / file_name(medium)).exists()
    assert await storage.blobs.stat(MPID, (medium,), deadline=DEADLINE) == (None,)
    (places.moving / file_name(medium)).rename(places.kept(file_name(medium)))  # as when it is put back at a start
    assert await storage.blobs.stat(MPID, (medium,), deadline=DEADLINE) != (None,)


@pytest.mark.holds("DUR-97")
async def test_files_that_no_medium_has_are_named_when_their_pool_is_put_in_order(
    places: Places, caplog: pytest.LogCaptureFixture
) -> None:
    """Their media were deleted while the pool was not declared, or are newer than the database. Those of a VM that is
    coming are neither.
    """
    places.path.mkdir()
    kept, gone, coming = (MediaRef(MPID, uuid4(), "raw") for _ in range(3))
    for name in (*map(file_name, (kept, gone, coming)), "notes.txt"):
        (places.path / name).write_bytes(b"some")
    storage = open_directories([places], None, NEVER)
    with caplog.at_level(logging.WARNING):
        await storage.pools.open(MPID, (kept,), (), (coming,), deadline=DEADLINE)
    await storage.close()
    (told,) = [one.getMessage() for one in caplog.records if "no medium" in one.getMessage()]
    assert file_name(gone) in told
    assert all(name not in told for name in (file_name(kept), file_name(coming), "notes.txt"))
    assert "or an older database was restored" in told
    assert (places.path / file_name(gone)).exists(), "nothing is removed"
