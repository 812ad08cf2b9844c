"""How large the files may become that a machine's process writes: its media, its firmware's variables, its output.

The kernel has one bound for all of them (RLIMIT_FSIZE, setrlimit(2)), so it is that of the largest medium. An honest
QEMU never comes near it. SIGXFSZ is ignored: beyond it a write fails with EFBIG.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from velocity.hypervisor.qemu.processes import limit

MOST = 1 << 62
SLACK = 1 << 30
"""Bytes more than the largest medium should need. Firmware variables and output need less by themselves."""
METADATA = 8
"""A qcow2 image has less than this part of its guest's disk besides that disk: tables, and clusters that a crash lost.
https://www.qemu.org/docs/master/interop/qcow2.html
"""
QCOW2 = b"QFI\xfb"
SIZE = 24
"""Where in a header of qcow2 the size of the guest's disk stands, in eight bytes."""


def largest(writable: Iterable[int]) -> int:
    """Bytes that each file may have, from the descriptors of the media that are written to. Raises `OSError`."""
    return min(MOST, max((_largest(descriptor) for descriptor in writable), default=0) + SLACK)


def in_memory(writable: Iterable[int]) -> int:
    """Bytes of them that the process fills memory with, as they lie in it: it has to have so much more.

    proc_pid_mountinfo(5)
    """
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    kinds = {line[2]: line[line.index("-") + 1] for line in lines}

    def lies_there(descriptor: int) -> bool:
        device = os.fstat(descriptor).st_dev
        return kinds.get(f"{os.major(device)}:{os.minor(device)}") in ("tmpfs", "ramfs")

    return sum(_largest(descriptor) for descriptor in writable if lies_there(descriptor))


def _largest(descriptor: int) -> int:
    is_now = os.fstat(descriptor).st_size
    head = os.pread(descriptor, SIZE + 8, 0)
    if not head.startswith(QCOW2):
        return is_now
    return max(is_now, image(int.from_bytes(head[SIZE:], "big")))


def image(disk: int) -> int:
    """Bytes that an image of a disk of so many may have."""
    return disk + disk // METADATA


def of_process(pid: int) -> int | None:
    """The bound that it has; None: one that an earlier version started has none. Raises `OSError`: it has ended."""
    bound = limit(pid, "Max file size")
    return int(bound) if bound.isdigit() else None
