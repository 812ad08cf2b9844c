"""How disks are read and written: past the host's page cache or by it, by what, and what of that holds here."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from tests.hypervisor.qemu.plans import PLAIN, disk
from tests.ports.subjects import NoMedia
from velocity.hypervisor.port import Bus, Cache, DiskSpec
from velocity.hypervisor.qemu import disk_io
from velocity.storage.directory import direct_io
from velocity.storage.port import HOST_POOL, MediaRef

QEMU = "qemu-system-x86_64"
UIDS = range(42000, 42010) if os.geteuid() == 0 else None
FORBIDS = f"""#!{sys.executable}
import ctypes, os, struct, sys
IO_URING_SETUP, NOT_PERMITTED, ALLOWED = 425, 0x00050000 | 1, 0x7FFF0000
code = b"".join(struct.pack("HBBI", *one) for one in (
    (0x20, 0, 0, 0), (0x15, 0, 1, IO_URING_SETUP), (0x06, 0, 0, NOT_PERMITTED), (0x06, 0, 0, ALLOWED)))
held = ctypes.create_string_buffer(code)
filter = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 4, ctypes.addressof(held)))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.byref(filter)) == 0
os.execvp("{QEMU}", ["{QEMU}", *sys.argv[1:]])
"""
"""QEMU where seccomp forbids io_uring, as containers do. seccomp(2), PR_SET_SECCOMP"""
OLDER = f"""#!/bin/sh
case "$*" in *io_uring*) echo "qemu: -blockdev x: Parameter 'aio' does not accept value 'io_uring'" >&2; exit 1;; esac
exec {QEMU} "$@"
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """Where another uid may execute what lies there."""
    with tempfile.TemporaryDirectory(prefix="vel-") as made:
        Path(made).chmod(0o711)
        yield Path(made)


def program(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.mark.holds("GUEST-44")
def test_io_uring_is_used_where_a_guests_process_really_can_and_what_was_found_is_kept(place: Path) -> None:
    cache = place / "io-uring.json"
    allowed = disk_io.FORBIDDEN.read_text().strip() == "0" if disk_io.FORBIDDEN.exists() else True
    aio, lacks = disk_io.direct_aio(QEMU, UIDS, cache)
    assert (aio, bool(lacks)) == (("io_uring", False) if allowed else ("native", True))
    for text, words in ((FORBIDS, "failed to init linux io_uring ring"), (OLDER, "does not accept value 'io_uring'")):
        binary = program(place / "qemu", text)
        aio, lacks = disk_io.direct_aio(binary, None, cache)  # others may not execute Python where it is
        assert aio == "native" and words in lacks
    binary = program(place / "kept", OLDER)
    found = disk_io.direct_aio(binary, UIDS, cache)
    Path(binary).chmod(0o000)
    assert disk_io.direct_aio(binary, UIDS, cache) == found, "nothing is started for what is known"
    assert "cannot be run" in disk_io.direct_aio(str(place / "none"), UIDS, cache)[1]


@contextmanager
def opened(files: list[tuple[DiskSpec, int]]) -> Iterator[list[int]]:
    descriptors = [descriptor for _, descriptor in files]
    try:
        yield descriptors
    finally:
        for one in descriptors:
            os.close(one)


class Opened(NoMedia):
    """Files of its pool that are open already: the pool with the host's own objects stands for it."""

    def direct_lacks(self, media: MediaRef, descriptor: int, *, readonly: bool) -> str:
        return super().direct_lacks(msgspec.structs.replace(media, pool=HOST_POOL), descriptor, readonly=readonly)


def file(path: Path, size: int) -> int:
    path.write_bytes(b"x" * size)
    return os.open(path, os.O_RDWR)


def anonymous() -> int:
    """A file without direct I/O, wherever tests run."""
    descriptor = os.memfd_create("disk")
    os.ftruncate(descriptor, 1 << 20)
    return descriptor


def past(bus: Bus, **more: object) -> DiskSpec:
    return msgspec.structs.replace(disk(bus), cache=Cache.NONE, **more)


@pytest.mark.holds("GUEST-45")
def test_a_disk_goes_past_the_page_cache_only_where_its_file_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = [
        (disk(Bus.BLOCK), file(tmp_path / "by it", 8192)),
        (past(Bus.BLOCK), file(tmp_path / "past it", 8192)),
        (past(Bus.USB), anonymous()),
        (past(Bus.VIRTIO), file(tmp_path / "uneven", 8191)),
        (past(Bus.VIRTIO, readonly=True), file(tmp_path / "uneven, read", 8191)),
        (past(Bus.BLOCK, media=disk(Bus.BLOCK, format="qcow2").media), file(tmp_path / "grows", 8191)),
        (past(Bus.BLOCK), file(tmp_path / "empty", 0)),
    ]
    spec = msgspec.structs.replace(PLAIN, disks=tuple(one for one, _ in files))
    with opened(files) as descriptors:
        direct = list(disk_io.direct(Opened(tmp_path), spec, descriptors))
        assert [descriptors.index(one) for one in direct] == [1, 4, 5, 6]
        assert not any(os.get_blocking(one) is False for one in descriptors)
    said = [record.getMessage().split(": ", 1)[1] for record in caplog.records]
    assert said == [
        "medium 3 uses the host's page cache: its file system has no direct I/O",
        "medium 4 uses the host's page cache: its size is no multiple of 512 bytes",
    ]


def test_what_is_tried_leaves_a_file_and_a_pool_as_they_were(tmp_path: Path) -> None:
    descriptor = file(tmp_path / "disk", 8192)
    before = os.get_blocking(descriptor), os.lseek(descriptor, 0, os.SEEK_CUR)
    assert direct_io.lacks(descriptor) == ""
    os.pread(descriptor, 3, 1)  # which O_DIRECT would refuse
    assert before == (os.get_blocking(descriptor), os.lseek(descriptor, 0, os.SEEK_CUR))
    os.close(descriptor)
    assert direct_io.directory_lacks(tmp_path) == "" and [one.name for one in tmp_path.iterdir()] == ["disk"]
