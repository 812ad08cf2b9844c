"""What storage that hosts share has to permit, and how its pool is begun there."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.root import as_root
from velocity.cli.doctor import pools
from velocity.config import PoolSetting, Settings
from velocity.storage.directory.identity import NotThePool, SharedIdentity
from velocity.storage.directory.places import MARK, Places
from velocity.storage.directory.shared_storage import lacks
from velocity.storage.port import PoolMark

NAME = "4f6c1a52-0000-4000-8000-000000000000.raw"
WORKER = 42000 if os.geteuid() == 0 else None


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    made = tmp_path / "storage"
    (made / MARK).parent.mkdir(parents=True)
    return made


@pytest.fixture
def on_root() -> Iterator[Path]:
    """A directory as it is below a mount point where nothing is mounted."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="vel-") as made:
        if Path(made).stat().st_dev != Path("/").stat().st_dev:
            pytest.skip("needs a /var/tmp on the file system of /")
        yield Path(made)


def identity(storage: Path, host: str, mpid: int = 7) -> SharedIdentity:
    return SharedIdentity(Places(mpid, "shared", storage, storage.parent / host, shared=True))


def test_one_host_makes_the_mark_and_the_others_take_it_when_they_are_told(storage: Path) -> None:
    a, b = identity(storage, "a"), identity(storage, "b")
    assert a.look("") == PoolMark()
    a.check(())
    mark = a.look("")
    assert mark.taken and mark.identity == json.loads((storage / MARK).read_text())["identity"]
    assert b.look("") == PoolMark(mark.identity, taken=False)
    with pytest.raises(NotThePool):
        b.check_taken()
    assert b.look("another") == PoolMark(mark.identity, taken=False)
    assert b.look(mark.identity) == mark
    b.check_taken()
    assert b.look("") == mark, "and it knows it from now on"


@pytest.mark.holds("MANY-117")
def test_of_hosts_that_make_the_mark_at_once_one_does_and_the_others_are_told(tmp_path: Path) -> None:
    for number in range(5):
        storage = tmp_path / str(number) / "storage"
        (storage / MARK).parent.mkdir(parents=True)
        hosts = [identity(storage, f"host{one}") for one in range(8)]
        begin = threading.Barrier(len(hosts))

        def makes(one: SharedIdentity, begin: threading.Barrier = begin) -> bool:
            begin.wait()
            try:
                one.check(())
            except NotThePool:
                return False
            return True

        with ThreadPoolExecutor(len(hosts)) as threads:
            made = list(threads.map(makes, hosts))
        assert sum(made) == 1
        assert [one.look("").taken for one in hosts] == made
        assert [file.name for file in (storage / MARK).parent.iterdir()] == ["pool"]


def test_a_crash_while_the_mark_is_made_is_gone_on_from(storage: Path) -> None:
    a = identity(storage, "a")
    a.check(())
    record = storage.parent / "a" / "7"
    for lost in (False, True):
        record.rename(record.with_name("7.draft"))  # before the record was whole
        if lost:
            (storage / MARK).unlink()  # before the mark
        a.check(())
        assert a.look("").taken
    assert [file.name for file in (storage / MARK).parent.iterdir()] == ["pool"]


@pytest.mark.holds("MANY-117")
def test_a_directory_on_the_root_file_system_becomes_no_shared_pool_by_itself(on_root: Path) -> None:
    shared = SharedIdentity(Places(7, "shared", on_root / "mnt", on_root / "records", shared=True))
    with pytest.raises(NotThePool, match="mount the storage there first"):
        shared.check(())
    (on_root / "mnt").mkdir()
    with pytest.raises(NotThePool, match="is on this host's root file system") as refused:
        shared.check(())
    assert list((on_root / "mnt").iterdir()) == []
    subprocess.run(str(refused.value).rpartition("run: ")[2].split(), check=True)
    shared.check(())
    assert shared.look("").taken


@pytest.mark.holds("MANY-118")
def test_what_storage_does_not_permit_is_found_by_doing_it(storage: Path, tmp_path: Path) -> None:
    folder = (storage / MARK).parent
    assert lacks(folder, WORKER) == ""
    assert list(folder.iterdir()) == []
    (fine,) = pools(Settings(data_dir=tmp_path / "data", pools=[PoolSetting(7, "shared", storage, shared=True)]))
    assert "free" in fine.text
    (nothing,) = pools(Settings(data_dir=tmp_path / "data", pools=[PoolSetting(7, "s", tmp_path / "x", shared=True)]))
    assert nothing.verdict == "limited" and "mount its storage there" in nothing.text


@pytest.mark.holds("MANY-118")
@as_root("becoming nobody, as on storage that squashes root")
def test_storage_that_takes_root_for_nobody_is_told_with_the_cure(on_root: Path) -> None:
    on_root.chmod(0o777)
    os.seteuid(65534)
    try:
        assert "export it with no_root_squash" in lacks(on_root, WORKER)
    finally:
        os.seteuid(0)
    assert list(on_root.iterdir()) == []
