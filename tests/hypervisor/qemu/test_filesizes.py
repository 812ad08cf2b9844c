"""No file that a guest's process writes grows without bound, whatever becomes of QEMU."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports.subjects import DEADLINE, QemuSubject, machine, spec
from velocity.hypervisor.qemu import filesizes, spool
from velocity.hypervisor.qemu.filesizes import SLACK
from velocity.hypervisor.qemu.processes import limit
from velocity.hypervisor.qemu.spool import SpoolRange

MIB, GIB = 1 << 20, 1 << 30


@contextlib.contextmanager
def opened(*files: Path) -> Iterator[list[int]]:
    with contextlib.ExitStack() as left:
        yield [left.enter_context(file.open("rb+")).fileno() for file in files]


def sized(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


def image(path: Path, size: int) -> Path:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, str(size)], check=True, capture_output=True)
    return path


@pytest.mark.holds("BOUND-24")
def test_a_file_may_have_what_the_largest_medium_needs_and_some_more(tmp_path: Path) -> None:
    small, large = sized(tmp_path / "small", MIB), sized(tmp_path / "large", 5 * GIB)
    disk = image(tmp_path / "disk", 16 * GIB)
    with opened(small, large, disk) as files:
        assert filesizes.largest(files[:1]) == MIB + SLACK
        assert filesizes.largest(files[:2]) == 5 * GIB + SLACK
        assert filesizes.largest(files) == 18 * GIB + SLACK, (
            "what its guest's disk and its tables need, not what it has"
        )
        os.pwrite(files[2], b"\xff" * 8, filesizes.SIZE)
        assert filesizes.largest(files) == filesizes.MOST, "a header that nobody can have written is no bound"
    assert filesizes.largest([]) == SLACK


def test_an_image_that_is_larger_already_stays_writable(tmp_path: Path) -> None:
    disk = image(tmp_path / "disk", MIB)
    os.truncate(disk, 3 * GIB)
    with opened(disk) as files:
        assert filesizes.largest(files) == 3 * GIB + SLACK


def test_media_that_lie_in_memory_count_there() -> None:
    """Else a guest that fills its disk would be ended for want of memory."""
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        os.truncate(file.name, 2 * GIB)
        with opened(Path(file.name)) as files:
            assert filesizes.in_memory(files * 2) == 4 * GIB
    with tempfile.NamedTemporaryFile(dir="/var/tmp") as file:  # which outlives restarts, and so lies on a disk
        os.truncate(file.name, GIB)
        with opened(Path(file.name)) as files:
            assert filesizes.in_memory(files) == 0


def test_a_disk_that_is_written_full_stays_within(tmp_path: Path) -> None:
    """The whole disk and its tables, with clusters of the smallest kind there is, which have most of these."""
    disk = tmp_path / "disk"
    for options in ([], ["-o", "cluster_size=512"]):
        words = ["qemu-img", "create", "-q", "-f", "qcow2", *options, str(disk), str(16 * MIB)]
        subprocess.run(words, check=True, capture_output=True)
        subprocess.run(["qemu-io", "-c", f"write 0 {16 * MIB}", disk], check=True, capture_output=True)
        with opened(disk) as files:
            assert disk.stat().st_size <= filesizes.largest(files) - SLACK


def test_a_process_whose_limits_are_gone_has_ended() -> None:
    """A StopIteration would end a coroutine with a RuntimeError."""
    assert limit(os.getpid(), "Max file size")
    with pytest.raises(ProcessLookupError):
        limit(os.getpid(), "Max nothing")


def test_output_has_the_same_room_below_a_smaller_bound() -> None:
    bounds = SpoolRange((1 << 62) - 64 * MIB, 64 * MIB)
    below = spool.below(GIB + 5, bounds)
    assert below.begin + below.room == GIB + 5
    assert bounds.room <= below.room < bounds.room + MIB
    assert spool.below(1 << 63, bounds) == bounds, "the file system's is the smaller one"


@pytest.mark.holds("BOUND-24")
@pytest.mark.anyio
@pytest.mark.guest
async def test_a_process_has_its_bound_and_its_output_is_read_below_it(qemu: QemuSubject) -> None:
    """Also when nothing but the process itself tells where its output begins."""
    who = machine()
    await qemu.hypervisor.machines.start(who, spec(qemu.hypervisor), deadline=DEADLINE)
    pid = qemu.pid(who)
    assert filesizes.of_process(pid) == SLACK, "it writes to no media"
    ignored = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigIgn"))
    assert int(ignored.split()[1], 16) >> (signal.SIGXFSZ - 1) & 1, "a write beyond fails, and does not end it"
    (run,) = qemu.driver.watched.place.runs.all()
    assert run.spool is not None and run.spool.begin + run.spool.room == SLACK
    assert (qemu.root / str(who.machine) / "serial.0").stat().st_size >= run.spool.begin
    await qemu.restart(lambda: qemu.note(who).unlink())
    (again,) = qemu.driver.watched.place.runs.all()
    assert again.spool == run.spool
