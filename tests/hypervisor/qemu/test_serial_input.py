"""What is typed into a guest: a pipe, and what is taken out of it for a move."""

from __future__ import annotations

import asyncio
import itertools
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hypervisor.qemu import holding
from tests.hypervisor.qemu.holding import TYPED
from tests.patience import PATIENCE
from tests.root import only_root
from velocity.hypervisor.qemu.serial_input import HOLDS, INPUT, UNREAD, SerialInput

pytestmark = pytest.mark.anyio


@pytest.fixture
def run(tmp_path: Path) -> Path:
    directory = tmp_path / "run"
    directory.mkdir()
    (tmp_path / "machine").mkdir()
    os.mkfifo(directory / INPUT)
    return directory


def test_what_is_taken_out_of_the_pipe_survives_a_kill_at_any_step(run: Path) -> None:
    """It is in the pipe or in the file of a later server, once."""
    reads = os.open(run / INPUT, os.O_RDWR | os.O_NONBLOCK)
    steps = itertools.count(1)
    while killed_as_it_holds(run, next(steps)):
        (run / UNREAD).touch()
        piped = os.read(reads, HOLDS) if readable(reads) else b""
        assert piped + (run / UNREAD).read_bytes() == TYPED
    assert next(steps) > 5, "it was killed at several"
    assert (run / UNREAD).read_bytes() == TYPED and not readable(reads)
    os.close(reads)


async def test_what_is_taken_out_of_the_pipe_is_typed_after_a_disk_that_was_full(run: Path) -> None:
    only_root("a file system with little room")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(run)], check=True)
    try:
        os.mkfifo(run / INPUT)
        reads = os.open(run / INPUT, os.O_RDWR | os.O_NONBLOCK)
        os.write(reads, TYPED)
        full = SerialInput(run)
        with pytest.raises(OSError, match="No space left"):
            full.hold()
        full.release()
        assert os.read(reads, HOLDS) == TYPED
        full.close()
        os.close(reads)
    finally:
        subprocess.run(["umount", str(run)], check=True)


def killed_as_it_holds(run: Path, step: int) -> bool:
    """A process of its own types, and holds the input. Whether it was killed at that line of it."""
    (run / UNREAD).unlink(missing_ok=True)
    words = [sys.executable, "-m", holding.__name__, str(run), str(step)]
    status = subprocess.run(words, timeout=PATIENCE, check=False).returncode
    assert status in (0, -signal.SIGKILL)
    return status != 0


def readable(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0)[0])


@pytest.mark.holds("MANY-184")
async def test_what_is_held_is_read_by_nobody_and_typed_first_when_it_is_released(run: Path) -> None:
    reads = os.open(run / INPUT, os.O_RDWR | os.O_NONBLOCK)
    first = SerialInput(run)
    assert await first.type_in(b"one two ", 5) == 8
    assert os.read(reads, 4) == b"one ", "that is the guest's"
    first.hold()
    first.hold()
    assert await first.type_in(b"not yet", 0.01) == 0
    with pytest.raises(BlockingIOError):
        os.read(reads, 1)
    first.close()
    second = SerialInput(run)  # of the server that comes next
    assert second.unread == b"two "
    waiting = asyncio.create_task(second.type_in(b"four", 30))
    await asyncio.sleep(0)
    for _ in range(2):
        second.release(b"three ")
    assert await waiting == 4
    assert os.read(reads, 100) == b"two three four"
    assert (second.unread, (run / UNREAD).exists()) == (b"", False)
    second.close()
    os.close(reads)


@pytest.mark.holds("MANY-184")
async def test_what_a_guest_does_not_read_is_counted_and_bounded(run: Path) -> None:
    typing = SerialInput(run)
    assert await typing.type_in(b"x", 0.01) == 0, "nobody has the other end"
    reads = os.open(run / INPUT, os.O_RDWR | os.O_NONBLOCK)
    assert await typing.type_in(b"x" * (1 << 20), 0.01) == HOLDS
    typing.hold()
    assert len(typing.unread) == HOLDS
    typing.release()
    assert os.read(reads, 1 << 20) == b"x" * HOLDS
    assert await typing.type_in(b"x" * HOLDS, 5) == HOLDS
    waiting = asyncio.create_task(typing.type_in(b"more", 30))
    await asyncio.sleep(0)
    typing.close()
    assert await waiting == 0, "it has ended"
    os.close(reads)
