"""A pool is full when it holds nothing more: the disk says so, or a write does; and it is not by itself again."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.ports.storages import DEADLINE, ref
from tests.ports.test_storage import made
from tests.root import as_root
from velocity.contract.problems import Problem, Refused
from velocity.storage.declared import open_directories
from velocity.storage.directory.fullness import AGAIN, QUOTA, Fullness
from velocity.storage.directory.places import Places
from velocity.storage.port import Belongs, Clone

pytestmark = pytest.mark.anyio

BLOCK = 4096


class Disk:
    """What statvfs(3) says."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.free, self.inodes, self.now = 1 << 30, 1000, 0.0
        patch.setattr(os, "statvfs", self._statvfs)

    def _statvfs(self, path: Path) -> SimpleNamespace:
        blocks = self.free // BLOCK
        return SimpleNamespace(f_frsize=BLOCK, f_blocks=1 << 20, f_bavail=blocks, f_files=2000, f_favail=self.inodes)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def fullness(disk: Disk, tmp_path: Path) -> Fullness:
    return Fullness(tmp_path, lambda: disk.now)


def test_a_disk_without_a_block_is_full_until_there_is_some_room(disk: Disk, fullness: Fullness) -> None:
    assert fullness.why() == ""
    disk.free = 0
    assert "no byte" in fullness.why()
    disk.free = BLOCK
    assert fullness.why(), "not with every block that comes and goes"
    disk.free = AGAIN
    assert fullness.why() == ""
    disk.free = BLOCK
    assert fullness.why() == ""


def test_a_disk_without_an_inode_is_full(disk: Disk, fullness: Fullness) -> None:
    disk.inodes = 0
    assert "no inode" in fullness.why()
    disk.inodes = 1
    assert fullness.why()
    disk.inodes = 20
    assert fullness.why() == ""


def test_a_write_says_it_and_a_quota_of_the_file_system_is_believed_for_a_while(disk: Disk, fullness: Fullness) -> None:
    fullness.heard(OSError(errno.EIO, "Input/output error"))
    assert fullness.why() == ""
    fullness.heard(OSError(errno.EDQUOT, "Disk quota exceeded"))
    assert "Disk quota exceeded" in fullness.why()
    disk.now += QUOTA
    assert fullness.why() == ""
    disk.free = AGAIN - BLOCK
    fullness.heard(OSError(errno.ENOSPC, "No space left on device"))
    assert "No space left" in fullness.why()
    disk.free = AGAIN
    assert fullness.why() == ""


@pytest.mark.holds("DUR-56")
async def test_a_full_pool_is_told_and_does_what_takes_no_bytes(tmp_path: Path, disk: Disk) -> None:
    storage = open_directories([Places(2, "usb", tmp_path / "usb", tmp_path / "records")], None)
    assert (await storage.pools.open(2, (), (), (), deadline=DEADLINE)).state == "online"
    disk.free = 0
    now = await storage.pools.state(2, deadline=DEADLINE)
    assert now is not None
    assert (now.state, now.message) == (
        "full",
        "pool 'usb' is full: use another pool or remove media; see the server's log for the directory",
    )
    disk.free = 1 << 30
    now = await storage.pools.state(2, deadline=DEADLINE)
    assert now is not None
    assert (now.state, now.message) == ("online", "")
    await storage.close()


async def test_a_write_that_finds_no_room_makes_its_pool_full(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = open_directories([Places(2, "usb", tmp_path / "usb", tmp_path / "records")], None)
    await storage.pools.open(2, (), (), (), deadline=DEADLINE)
    disk.free = AGAIN - BLOCK
    incoming = await storage.blobs.put(ref(), deadline=DEADLINE)
    await incoming.write(b"more")

    def writev(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "writev", writev)
    with pytest.raises(Refused) as refused:
        await incoming.finish()
    assert refused.value.problem is Problem.POOL_QUOTA
    await incoming.close()
    now = await storage.pools.state(2, deadline=DEADLINE)
    assert now is not None
    assert now.state == "full"
    await storage.close()


@as_root("mounts")
async def test_a_copy_that_finds_no_room_is_told_as_that_and_not_as_a_bad_image(tmp_path: Path) -> None:
    (tmp_path / "usb").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", tmp_path / "usb"], check=True)
    places = [Places(mpid, name, tmp_path / name, tmp_path / "records") for mpid, name in ((1, "good"), (2, "usb"))]
    storage = open_directories(places, None)
    try:
        for mpid in (1, 2):
            await storage.pools.open(mpid, (), (), (), deadline=DEADLINE)
        source, target = ref(1), ref(2)
        incoming = await storage.blobs.put(source, deadline=DEADLINE)
        for _ in range(4):
            await incoming.write(os.urandom(1 << 20))
        await incoming.finish()
        await storage.trash.settle(source, Belongs.KEPT, deadline=DEADLINE)
        with pytest.raises(Refused) as refused:
            await made(storage, Clone(source, target))
        assert refused.value.problem is Problem.POOL_QUOTA
        assert "does not have 4.0 MiB free" in refused.value.message
        assert not list((tmp_path / "usb" / ".moving").iterdir())
    finally:
        await storage.close()
        subprocess.run(["umount", tmp_path / "usb"], check=True)
