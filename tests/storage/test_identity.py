"""A pool is its mark, or the files of its media; an empty directory is none that was there before."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from velocity.storage.directory.identity import Identity, NotThePool
from velocity.storage.directory.places import MARK, Places

NAME = "4f6c1a52-0000-4000-8000-000000000000.raw"


class Disk:
    """A pool's directory, and the records of two installations."""

    def __init__(self, path: Path) -> None:
        self.pool = path / "pool"
        self.records = path / "records"
        self.path = path

    def check(self, *known: str, records: str = "records", mpid: int = 1) -> None:
        Identity(Places(mpid, "a", self.pool, self.path / records)).check(known)

    @property
    def mark(self) -> Path:
        return self.pool / MARK


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def test_a_new_pool_is_made_and_marked_and_is_known_again(disk: Disk) -> None:
    disk.check()
    assert disk.mark.read_text() == (disk.records / "1").read_text()
    disk.check(NAME)
    disk.pool.rename(disk.path / "elsewhere")
    for _ in range(2):
        with pytest.raises(NotThePool):
            disk.check()
        assert not disk.pool.exists()
        (disk.path / "elsewhere").rename(disk.pool)
        disk.check()
        disk.pool.rename(disk.path / "elsewhere")


@pytest.mark.parametrize("place", [".", ".moving", ".trash"])
def test_a_pool_of_before_there_were_marks_is_known_by_its_files(disk: Disk, place: str) -> None:
    with pytest.raises(NotThePool):
        disk.check(NAME)
    assert not disk.pool.exists(), "media are known, and it has none of them"
    (disk.pool / place).mkdir(parents=True)
    with pytest.raises(NotThePool):
        disk.check(NAME)
    (disk.pool / place / NAME).touch()
    disk.check(NAME)
    assert disk.mark.exists()


def test_the_cure_that_the_message_names_takes_an_empty_disk_for_the_pool(disk: Disk) -> None:
    for known in ((), (NAME,)):
        disk.check()
        shutil.rmtree(disk.pool)
        with pytest.raises(NotThePool) as refused:
            disk.check(*known)
        cure = str(refused.value).rpartition("run: ")[2]
        subprocess.run(cure.split(), check=True)
        disk.check(*known)


def test_a_crash_at_the_first_use_is_gone_on_from(disk: Disk) -> None:
    disk.check()
    (disk.records / "1").rename(disk.records / "1.draft")  # before the record was whole
    disk.check()
    (disk.records / "1").rename(disk.records / "1.draft")
    disk.mark.unlink()  # before the mark
    disk.check()
    assert disk.mark.read_text() == (disk.records / "1").read_text()


@pytest.mark.holds("DUR-11")
def test_the_pool_of_another_installation_is_left_alone(disk: Disk) -> None:
    disk.check(records="theirs")
    text = disk.mark.read_text()
    with pytest.raises(NotThePool, match="another installation"):
        disk.check()
    disk.mark.rename(disk.path / "aside")
    disk.check(mpid=2)
    with pytest.raises(NotThePool):
        disk.check(records="theirs")
    (disk.path / "aside").rename(disk.mark)
    with pytest.raises(NotThePool, match="is another pool"):
        disk.check(mpid=2)
    assert disk.mark.read_text() == text
    (disk.pool / NAME).touch()
    disk.check(NAME)
    assert disk.mark.read_text() == text, "with its database it is taken over"


def test_a_copy_of_a_pool_is_that_pool_and_nobody_else_s(disk: Disk) -> None:
    disk.check()
    (disk.pool / NAME).touch()
    copy = disk.path / "copy"
    subprocess.run(["cp", "-a", disk.pool, copy], check=True)
    shutil.rmtree(disk.pool)
    copy.rename(disk.pool)
    disk.check(NAME)
    with pytest.raises(NotThePool, match="another installation"):
        disk.check(records="theirs")


def test_a_directory_that_is_another_pool_of_the_same_installation_is_refused(disk: Disk) -> None:
    """Also where both have media of theirs in it."""
    disk.check()
    text = disk.mark.read_text()
    (disk.pool / NAME).touch()
    for known in ((), (NAME,)):
        with pytest.raises(NotThePool, match="is the directory of pool 1: give each pool"):
            disk.check(*known, mpid=2)
    assert disk.mark.read_text() == text
    assert not (disk.records / "2").exists()
