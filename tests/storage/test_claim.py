"""One pool of one server works in a directory, by whatever path: a second one is away."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.ports.storages import DEADLINE
from tests.processes import open_files
from velocity.storage.declared import open_directories
from velocity.storage.directory.places import Places
from velocity.storage.directory.storage import DirectoryStorage
from velocity.storage.port import PoolState

pytestmark = pytest.mark.anyio

Open = Callable[..., DirectoryStorage]
OTHER_SERVER = """
import sys
from pathlib import Path
from velocity.storage.directory.directory_claim import DirectoryClaim
claim = DirectoryClaim()
print(claim.take(Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Open]:
    async with AsyncExitStack() as closing:

        def open_(installation: str, *paths: Path) -> DirectoryStorage:
            pools = [Places(n, f"pool {n}", path, tmp_path / installation) for n, path in enumerate(paths, 1)]
            made = open_directories(pools, None)
            closing.push_async_callback(made.close)
            return made

        yield open_


async def look(storage: DirectoryStorage, pool: int = 1) -> PoolState:
    return await storage.pools.open(pool, (), (), (), deadline=DEADLINE)


@pytest.mark.holds("DUR-55")
async def test_two_servers_on_one_directory_are_refused_also_with_copied_records(opened: Open, tmp_path: Path) -> None:
    usb = tmp_path / "usb"
    first = opened("first", usb)
    assert (await look(first)).state == "online"
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    second = opened("second", usb)
    now = await look(second)
    assert now.state == "away"
    assert "in use by another pool or another server" in now.message
    assert str(tmp_path) not in now.message
    await first.close()
    assert (await look(second)).state == "online", "without a restart, when the other one has ended"


@pytest.mark.holds("DUR-55")
@pytest.mark.parametrize("way", ["a symbolic link", "a bind mount"])
async def test_one_directory_is_one_pool_s_by_whatever_path(opened: Open, tmp_path: Path, way: str) -> None:
    usb, again = tmp_path / "usb", tmp_path / "again"
    usb.mkdir()
    if way == "a symbolic link":
        again.symlink_to(usb)
    elif os.geteuid() == 0:
        again.mkdir()
        subprocess.run(["mount", "--bind", usb, again], check=True)
    else:
        again = usb / "." / ".." / "usb"
    try:
        storage = opened("here", usb, again)
        assert (await look(storage)).state == "online"
        for _ in range(2):
            assert (await look(storage, 2)).state == "away"
            assert (await look(storage)).state == "online"
    finally:
        if way == "a bind mount" and os.geteuid() == 0:
            subprocess.run(["umount", again], check=True)


async def test_a_claim_ends_with_its_process_and_keeps_no_disk_busy(opened: Open, tmp_path: Path) -> None:
    usb = tmp_path / "usb"
    usb.mkdir()
    with subprocess.Popen(  # noqa: ASYNC220 - a moment
        [sys.executable, "-c", OTHER_SERVER, str(usb)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        storage = opened("here", usb)
        assert (await look(storage)).state == "away"
        assert list(usb.iterdir()) == [], "nothing was written there"
        other.kill()
        other.wait()
    assert (await look(storage)).state == "online"
    assert str(usb) not in open_files(os.getpid())


async def test_a_pool_that_can_only_be_read_may_be_read_by_several(opened: Open, tmp_path: Path) -> None:
    usb = tmp_path / "usb"
    first = opened("first", usb)
    assert (await look(first)).state == "online"
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    second = opened("second", usb)
    if os.geteuid() == 0:
        subprocess.run(["mount", "--bind", usb, usb], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", usb], check=True)
    else:
        usb.chmod(0o500)
    try:
        assert [(await look(one)).state for one in (first, second)] == ["readonly", "readonly"]
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", usb], check=True)
        else:
            usb.chmod(0o700)
