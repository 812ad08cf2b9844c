"""Media that become media of the same format: the same file once more, unless a guest would be slower with it."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path

import pytest

from tests.patience import eventually
from tests.root import as_root
from tests.storage.test_programs import WORKER
from tests.storage.test_whole import qemu_img
from velocity.storage.directory.image_file import ImageFile
from velocity.storage.directory.images import Conversion, Images
from velocity.storage.directory.shared_descriptor import SharedDescriptor
from velocity.storage.directory.threads import Threads

pytestmark = pytest.mark.anyio
SIZE = (8 << 20) + 700
"""No whole sectors."""
HOLES = 2 << 20


def raw(file: Path, *, size: int = SIZE) -> None:
    """It has bytes at its beginning, in its middle and at its end, and holes."""
    chance = random.Random(1)
    with file.open("wb") as made:
        for offset in (0, 3 << 20, size - 5000):
            made.seek(offset)
            made.write(chance.randbytes(5000))


def qcow2(file: Path, *options: str) -> int:
    """The size of its disk."""
    raw(file.with_suffix(".raw"))
    qemu_img("convert", "-f", "raw", "-O", "qcow2", *options, file.with_suffix(".raw"), file)
    return -(-SIZE // 512) * 512


async def made(source: int, target: Path, conversion: Conversion, worker: int | None) -> list[int]:
    """What was told of the progress."""
    target.unlink(missing_ok=True)
    if conversion.format == "qcow2":
        qemu_img("create", "-f", "qcow2", target, conversion.size)
    else:
        target.touch()
        os.truncate(target, conversion.size)
    threads, told = Threads("pool", 2), list[int]()
    read, write = (
        ImageFile(SharedDescriptor(one), threads) for one in (os.dup(source), os.open(target, os.O_RDWR | os.O_CLOEXEC))
    )
    try:
        await Images(worker).convert(read, write, conversion, (1, 1), told.append)
    finally:
        read.file.close()
        write.file.close()
        await threads.close()
    return told


def content(source: int) -> bytes:
    return os.pread(source, os.fstat(source).st_size, 0)


@pytest.mark.holds("IMAGE-26")
@pytest.mark.parametrize(
    "worker",
    [None, pytest.param(WORKER, marks=as_root("uids of programs"), id="worker")],
)
async def test_what_keeps_its_format_is_the_same_file_with_the_same_holes(tmp_path: Path, worker: int | None) -> None:
    image, target = tmp_path / "image", tmp_path / "target"
    raw(image)
    other = os.memfd_create("of another file system")
    os.pwrite(other, image.read_bytes(), 0)
    read = os.open(image, os.O_RDONLY)
    for source in (read, other):
        await made(source, target, Conversion("raw", "raw", SIZE, foreign=False), worker)
        assert content(source) == target.read_bytes()
    await made(read, target, Conversion("raw", "raw", SIZE, foreign=False), worker)
    assert target.stat().st_blocks * 512 < HOLES
    for foreign in (True, False):
        for option in ("cluster_size=4k", "compat=0.10", "lazy_refcounts=on"):
            size = qcow2(image, "-o", option)
            source = os.open(image, os.O_RDONLY)
            await made(source, target, Conversion("qcow2", "qcow2", size, foreign), worker)
            assert image.read_bytes() == target.read_bytes(), (option, foreign)
            os.close(source)
    os.close(read)
    os.close(other)


@pytest.mark.holds("IMAGE-27")
async def test_an_image_that_would_slow_its_guest_or_take_more_than_its_disk_is_written_anew(tmp_path: Path) -> None:
    image, target, back = tmp_path / "image", tmp_path / "target", tmp_path / "back"
    for case in ("compressed", "with a snapshot", "with a tail"):
        size = qcow2(image, *(["-c"] if case == "compressed" else []))
        if case == "with a snapshot":
            qemu_img("snapshot", "-c", "one", image)
        elif case == "with a tail":
            os.truncate(image, 100 << 20)
        source = os.open(image, os.O_RDONLY)
        await made(source, target, Conversion("qcow2", "qcow2", size, foreign=True), None)
        os.close(source)
        assert target.read_bytes() != image.read_bytes(), case
        assert target.stat().st_size < size, case
        qemu_img("convert", "-f", "qcow2", "-O", "raw", target, back)
        assert back.read_bytes()[:SIZE] == image.with_suffix(".raw").read_bytes(), case
        qemu_img("check", target)


async def test_an_image_becomes_a_raw_disk_with_its_holes(tmp_path: Path) -> None:
    image, target = tmp_path / "image", tmp_path / "target"
    size = qcow2(image)
    source = os.open(image, os.O_RDONLY)
    told = await made(source, target, Conversion("qcow2", "raw", size, foreign=True), None)
    os.close(source)
    assert target.read_bytes()[:SIZE] == image.with_suffix(".raw").read_bytes()
    assert target.stat().st_blocks * 512 < HOLES
    assert told and told[-1] == size


@pytest.mark.holds("IMAGE-55")
async def test_what_a_program_writes_is_flushed_as_it_comes_and_an_error_of_the_disk_ends_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel tells an error of the disk once: to a flush that comes before the last one, too."""
    image, target, fdatasync = tmp_path / "image", tmp_path / "target", os.fdatasync
    raw(image)
    flushed: list[int] = []
    fails = 0

    def flush(descriptor: int) -> None:
        flushed.append(descriptor)
        if len(flushed) <= fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fdatasync(descriptor)

    monkeypatch.setattr(os, "fdatasync", flush)
    file, threads = SharedDescriptor(os.open(image, os.O_RDWR | os.O_CLOEXEC)), Threads("pool", 2)
    async with ImageFile(file, threads).flushed():
        await eventually(lambda: len(flushed) > 2)
    file.close()
    await threads.close()
    flushed.clear()
    fails = 1
    with image.open("rb") as source, pytest.raises(OSError, match="Input/output"):
        await made(source.fileno(), target, Conversion("raw", "raw", SIZE, foreign=False), None)
    assert flushed
