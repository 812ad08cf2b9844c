"""A disk that does not answer: every call ends by its deadline, other pools go on, and so does the server's end."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.patience import asked_until
from tests.ports.storages import DEADLINE, ref
from velocity.storage.declared import open_directories
from velocity.storage.directory import storage as kept_by
from velocity.storage.directory.places import Places, file_name
from velocity.storage.directory.storage import DirectoryStorage
from velocity.storage.port import Belongs, Clone, Made, MediaRef, Unknown

pytestmark = pytest.mark.anyio

SOON = 0.2
HANGING_SERVER = """
import asyncio, sys, threading
from velocity.storage.directory.places import Places
from velocity.storage.declared import open_directories
from velocity.storage.port import Unknown
from pathlib import Path

async def serve():
    storage = open_directories([Places(1, "usb", Path(sys.argv[1]), Path(sys.argv[2]))], None)
    try:
        await storage.directories.get(1).threads.do(0.1, threading.Event().wait)
    except Unknown:
        print("it hangs", flush=True)
    await storage.close()

asyncio.run(serve())
"""


class Disk:
    """That of pool 2. From `hang` on nothing there that is synced, cloned or read past the page cache comes to its end.

    Until it is woken.
    """

    def __init__(self, path: Path, patch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.asked = 0
        self._answers = threading.Event()
        self._answers.set()
        patch.setattr(os, "fsync", self._after(os.fsync))
        patch.setattr(os, "preadv", self._after(os.preadv))
        patch.setattr(fcntl, "ioctl", self._after(fcntl.ioctl))

    def _after(self, call: Any) -> Any:
        def waits(descriptor: int, *more: Any) -> Any:
            if not self._answers.is_set() and Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(self.path):
                self.asked += 1
                assert self._answers.wait(2 * DEADLINE)
            return call(descriptor, *more)

        return waits

    def hang(self) -> None:
        self._answers.clear()

    def wake(self) -> None:
        self._answers.set()


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    made = Disk(tmp_path / "usb", monkeypatch)
    yield made
    made.wake()


@pytest.fixture
async def storage(tmp_path: Path, disk: Disk) -> AsyncIterator[DirectoryStorage]:
    places = [Places(mpid, name, tmp_path / name, tmp_path / "records") for mpid, name in ((1, "good"), (2, "usb"))]
    made = open_directories(places, None)
    for mpid in (1, 2):
        await made.pools.open(mpid, (), (), (), deadline=DEADLINE)
    yield made
    disk.wake()
    await made.close()


async def kept(storage: DirectoryStorage, pool: int) -> MediaRef:
    one = ref(pool)
    await storage.blobs.create(one, 4096, deadline=DEADLINE)
    await storage.trash.settle(one, Belongs.KEPT, deadline=DEADLINE)
    return one


async def cloned(storage: DirectoryStorage, source: MediaRef) -> None:
    target = ref(source.pool)
    await storage.jobs.prepare(Clone(source, target), deadline=DEADLINE)
    await storage.jobs.start(target, 4096, deadline=DEADLINE)
    (*_, made) = [one async for one in storage.jobs.watch(target)]
    assert isinstance(made, Made)
    await storage.jobs.cancel(target, deadline=DEADLINE)


def pipe(disk: Disk, one: MediaRef) -> Path:
    """Its file is a pipe into which nobody writes: who opens it waits."""
    file = disk.path / file_name(one)
    file.unlink()
    os.mkfifo(file)
    return file


def descriptors_of(path: Path) -> list[str]:
    found = []
    for one in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found += [one.name] if one.readlink() == path else []
    return found


async def test_a_source_that_does_not_open_is_unknown_in_time_and_let_go_later(
    storage: DirectoryStorage, disk: Disk
) -> None:
    source, target = await kept(storage, 2), ref(1)
    file = pipe(disk, source)
    with pytest.raises(Unknown):
        await asyncio.wait_for(storage.jobs.prepare(Clone(source, target), deadline=SOON), DEADLINE)
    await cloned(storage, await kept(storage, 1))
    os.close(os.open(file, os.O_RDWR))

    async def is_let_go() -> bool:
        return not descriptors_of(file)

    await asked_until(is_let_go)


async def hangs(storage: DirectoryStorage, disk: Disk, source: MediaRef) -> bool:
    """A clone of it is unknown in time. Whether it has come as far as the disk: in so little time it may not."""
    begun = time.monotonic()
    with pytest.raises(Unknown, match="pool 'usb'"):
        await asyncio.wait_for(storage.jobs.prepare(Clone(source, ref(2)), deadline=SOON), DEADLINE)
    assert time.monotonic() - begun < DEADLINE / 2
    return disk.asked > 0


async def test_a_look_at_a_source_has_its_deadline_too(storage: DirectoryStorage, disk: Disk) -> None:
    source = await kept(storage, 2)
    disk.hang()
    await asked_until(lambda: hangs(storage, disk, source), what="that it has hung")


async def test_a_target_that_does_not_answer_is_named_and_not_its_source(storage: DirectoryStorage, disk: Disk) -> None:
    source = await kept(storage, 1)
    disk.hang()
    await asked_until(lambda: hangs(storage, disk, source), what="that it has hung")


async def test_jobs_that_hang_hold_up_no_other_pool_and_leave_nothing_when_it_answers(
    storage: DirectoryStorage, disk: Disk
) -> None:
    source, targets = await kept(storage, 2), [ref(2) for _ in range(4)]
    for target in targets:
        await storage.jobs.prepare(Clone(source, target), deadline=DEADLINE)
    disk.hang()
    for target in targets:
        await storage.jobs.start(target, 4096, deadline=DEADLINE)

    async def hangs() -> bool:
        return disk.asked == len(targets)

    await asked_until(hangs)
    await cloned(storage, await kept(storage, 1))
    begun = time.monotonic()
    for target in targets:
        await storage.jobs.cancel(target, deadline=SOON)
    assert time.monotonic() - begun < DEADLINE
    disk.wake()

    async def is_clear() -> bool:
        return not list((disk.path / ".moving").iterdir())

    await asked_until(is_clear)


@pytest.mark.holds("DUR-54")
async def test_conversions_that_hang_keep_no_turn_of_another_pool(
    storage: DirectoryStorage, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, targets = await kept(storage, 2), [ref(2) for _ in range(2)]
    for target in targets:
        await storage.jobs.prepare(Clone(source, target), deadline=DEADLINE)
    other = await kept(storage, 1)
    monkeypatch.setattr(os, "fsync", lambda _: None)  # what is made comes to be; to clone it hangs
    disk.hang()
    for target in targets:
        await storage.jobs.start(target, 4096, deadline=DEADLINE)

    async def hangs() -> bool:
        return disk.asked == len(targets)

    await asked_until(hangs)
    await asyncio.wait_for(cloned(storage, other), DEADLINE)


@pytest.mark.holds("DUR-54", "GUEST-45")
async def test_a_start_does_not_wait_for_ever_for_what_a_disk_says_of_direct_io(
    storage: DirectoryStorage, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    medium = await kept(storage, 2)
    descriptor = storage.files.open(medium, readonly=False)
    assert await asyncio.to_thread(storage.files.direct_lacks, medium, descriptor, readonly=False) == ""
    file = Path(f"/proc/self/fd/{descriptor}").readlink()
    disk.hang()
    monkeypatch.setattr(kept_by, "OPEN_DEADLINE", SOON)
    with pytest.raises(Unknown, match="'usb' does not respond"):
        await asyncio.to_thread(storage.files.direct_lacks, medium, descriptor, readonly=False)
    os.close(descriptor)
    assert descriptors_of(file), "whoever hangs has its own, so that no other file gets its number"
    disk.wake()

    async def is_let_go() -> bool:
        return not descriptors_of(file)

    await asked_until(is_let_go)


@pytest.mark.holds("DUR-54")
async def test_the_start_of_a_machine_does_not_wait_for_a_medium_for_ever(
    storage: DirectoryStorage, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    medium = await kept(storage, 2)
    file = pipe(disk, medium)
    monkeypatch.setattr(kept_by, "OPEN_DEADLINE", SOON)
    with pytest.raises(Unknown, match="'usb' does not respond"):
        await asyncio.wait_for(asyncio.to_thread(storage.files.open, medium, readonly=True), DEADLINE)
    os.close(os.open(file, os.O_RDWR))

    async def is_let_go() -> bool:
        return not descriptors_of(file)

    await asked_until(is_let_go)


@pytest.mark.holds("DUR-54")
async def test_a_server_ends_although_a_disk_hangs(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HANGING_SERVER, str(tmp_path / "usb"), str(tmp_path / "records")]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=2 * DEADLINE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "it hangs\n", "")
