"""Disks that other hosts can open, too: QEMU locks their files, so that no second one writes to them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.hypervisor.qemu.plans import disk, plan
from tests.patience import PATIENCE
from velocity.hypervisor.port import Bus
from velocity.hypervisor.qemu.command import arguments
from velocity.hypervisor.qemu.disk_options import node

MACHINE = ("qemu-system-x86_64", "-machine", "pc", "-m", "16", "-S", "-nodefaults", "-display", "none", "-qmp", "stdio")


@contextmanager
def opened(path: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A QEMU that has this file as a disk, by a descriptor of its own, as each host has."""
    descriptor = os.open(path, os.O_RDWR)
    has = node(disk(Bus.BLOCK), 0, 1, None, shared=True)
    words = [
        *MACHINE,
        *more,
        "-add-fd",
        f"fd={descriptor},set=1",
        "-blockdev",
        has,
        "-device",
        "virtio-blk-pci,drive=disk0",
    ]
    process = subprocess.Popen(words, stdin=-1, stdout=-1, stderr=-1, pass_fds=(descriptor,))
    os.close(descriptor)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.holds("MANY-116")
def test_a_second_qemu_does_not_get_a_disk_that_one_writes_to(tmp_path: Path) -> None:
    """Whoever started it, on whichever host that has the same file system."""
    file = tmp_path / "disk"
    file.write_bytes(bytes(1 << 20))
    with opened(file) as first:
        assert first.stdout is not None and b"QMP" in first.stdout.readline(), "its disk is open"
        with opened(file) as second:
            assert second.wait(PATIENCE) == 1
            assert second.stderr is not None and b'Failed to get "write" lock' in second.stderr.read()
        with opened(file, "-incoming", "defer") as coming:
            assert coming.stdout is not None and b"QMP" in coming.stdout.readline(), (
                "it may wait for the first one's guest"
            )
        assert first.poll() is None


@pytest.mark.holds("MANY-116")
def test_the_disks_of_shared_pools_are_locked_for_certain_and_others_as_qemu_does_it_by_itself() -> None:
    one = plan(disks=(disk(Bus.BLOCK), disk(Bus.BLOCK)))
    one = replace(one, files=replace(one.files, shared=[21]))
    nodes = [word for word in arguments(one) if "node-name=disk" in word]
    assert ["file.locking=on" in word for word in nodes] == [False, True]
