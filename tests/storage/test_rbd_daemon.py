"""The process that has an image of RBD as a file, played by a program that any host has."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE, at_last
from tests.root import as_root
from velocity.storage.rbd import daemons, opened
from velocity.storage.rbd.lent import tell
from velocity.storage.rbd.openings import RbdOpenings
from velocity.storage.rbd.rados_pool import RadosPool, no_room

pytestmark = as_root("namespaces of mounts")


def test_one_that_complains_without_end_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads it, and a pipe holds 64 KiB: whoever writes to a full one waits."""
    said = tmp_path / "said"

    def complaining(*_what: Any, **_how: Any) -> Sequence[str]:
        return ("sh", "-c", f"echo hello; head -c 1000000 /dev/zero >&2; touch {said}; exec sleep 600")

    monkeypatch.setattr(opened, "words", complaining)
    daemon = opened.Daemon(RadosPool(Path("conf"), "user", "pool"), "image", tmp_path / "files" / "one", readonly=True)
    try:
        os.close(daemon.open())
        at_last(said.exists, "that it has said all")
    finally:
        daemon.end()
        daemon.wait()
    assert not list((tmp_path / "files").iterdir())


@dataclass(frozen=True)
class Waits(RadosPool):
    """A pool whose images take `latency` for each write, and which is full, or not."""

    latency: float = 0.0
    is_full: bool = False

    def node(self, name: str) -> dict[str, Any]:
        return {"driver": "null-aio", "size": 1 << 20, "latency-ns": int(self.latency * 1e9)}

    def check_room(self) -> None:
        if self.is_full:
            raise no_room(self)


needs_daemon = pytest.mark.skipif(
    shutil.which(opened.PROGRAM) is None or not os.access("/dev/fuse", os.W_OK),
    reason="needs qemu-storage-daemon (Debian: qemu-system-common), and /dev/fuse",
)


def an_image(pool: RadosPool, place: Path) -> opened.OpenImage:
    daemon = opened.Daemon(pool, "image", place / "one", readonly=False)
    return opened.OpenImage(daemon.open(), daemon, None, lambda _: None)


def stubborn(*_what: Any, **_how: Any) -> Sequence[str]:
    """It has something in its cache, which it would write back first."""
    return ("sh", "-c", "trap '' TERM; echo hello; while :; do sleep 1; done")


def test_only_the_daemon_of_a_file_gets_its_signals(tmp_path: Path) -> None:
    """Its pid could be another process's by then."""
    file, other = str(tmp_path / "one"), str(tmp_path / "two")
    script = f"while :; do sleep 1; done # mountpoint={file},"
    with subprocess.Popen([opened.PROGRAM, "-c", script], executable="/bin/sh") as daemon:
        try:
            at_last(lambda: Path(f"/proc/{daemon.pid}/cmdline").read_bytes().startswith(opened.PROGRAM.encode()))
            tell(daemon.pid, other, signal.SIGKILL)
            with pytest.raises(subprocess.TimeoutExpired):
                daemon.wait(0.2)
            tell(daemon.pid, file, signal.SIGKILL)
            assert daemon.wait(PATIENCE) == -signal.SIGKILL
        finally:
            daemon.kill()
    tell(daemon.pid, file, signal.SIGKILL)


@needs_daemon
@pytest.mark.holds("MANY-219")
def test_what_waits_in_a_full_pool_is_given_up_as_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened, "LOOK", 0.05)
    pool = Waits(Path("conf"), "user", "vm", latency=600, is_full=True)
    image = an_image(pool, tmp_path)
    for _ in range(2):
        with pytest.raises(OSError, match="No space left") as told, image.use() as descriptor:
            os.pwrite(descriptor, b"x", 0)
        assert told.value.errno == errno.ENOSPC
        assert "RADOS pool vm is full" in told.value.__notes__[0]
    image.close()
    at_last(lambda: not list(tmp_path.iterdir()), "that nothing is left of it")
    pool.full.close()


@needs_daemon
def test_what_is_slow_is_waited_for_as_long_as_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "LOOK", 0.05)
    pool = Waits(Path("conf"), "user", "vm", latency=0.5)
    image = an_image(pool, tmp_path)
    with image.use() as descriptor:
        assert os.pwrite(descriptor, b"x", 0) == 1
    image.close()
    at_last(lambda: not list(tmp_path.iterdir()), "that nothing is left of it")
    pool.full.close()


@needs_daemon
def test_one_that_does_not_end_in_a_full_pool_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "LOOK", 0.05)

    monkeypatch.setattr(opened, "words", stubborn)
    pool = Waits(Path("conf"), "user", "vm", is_full=True)
    daemon = opened.Daemon(pool, "image", tmp_path / "one", readonly=False)
    os.close(daemon.open())
    daemon.end()
    daemon.wait()
    assert not list(tmp_path.iterdir())
    pool.full.close()


@pytest.mark.holds("MANY-265")
def test_a_server_that_ends_leaves_no_daemon_that_waits_for_its_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could not end itself before: what is closed with it waits for the daemon."""
    monkeypatch.setattr(daemons, "CLOSING", 0.2)
    monkeypatch.setattr(opened, "words", stubborn)
    pool = Waits(Path("conf"), "user", "vm")
    own = RbdOpenings(pool, tmp_path)
    image = own.fill("one")
    own.close()
    at_last(lambda: not list(tmp_path.iterdir()), "that nothing is left of it")
    assert not own.unswept
    image.close()
    pool.full.close()


@needs_daemon
@pytest.mark.holds("MANY-265")
def test_what_a_former_server_had_open_ends_once_nobody_uses_it(tmp_path: Path) -> None:
    pool = Waits(Path("conf"), "user", "vm")
    descriptor = opened.Daemon(pool, "image", tmp_path / "one", readonly=True).open()
    following = RbdOpenings(pool, tmp_path)
    following.sweep()
    assert os.pread(descriptor, 1, 0) == bytes(1)
    os.close(descriptor)

    def swept() -> bool:
        following.sweep()
        return not following.unswept

    at_last(swept, "its end")
    assert not list(tmp_path.iterdir())
