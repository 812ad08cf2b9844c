"""Limits the size of files that a machine's process writes: media, firmware variables, output.

RLIMIT_FSIZE (setrlimit(2)) is one limit for all files, so it follows the largest medium. A correct QEMU never reaches
it. SIGXFSZ is ignored: a write beyond it fails with EFBIG.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from velocity.hypervisor.qemu.processes import limit

MOST = 1 << 62
SLACK = 1 << 30
"""Bytes beyond what the largest medium needs. Firmware variables and output need less."""
METADATA = 8
"""The part of its virtual size that a qcow2 image may take besides: tables, and clusters leaked by a crash.

https://www.qemu.org/docs/master/interop/qcow2.html
"""
QCOW2 = b"QFI\xfb"
SIZE = 24
"""The offset of the virtual size in a qcow2 header, eight bytes."""


def largest(writable: Iterable[int]) -> int:
    """The limit in bytes for each file, from the descriptors of the writable media. Raises `OSError`."""
    return min(MOST, max((_largest(descriptor) for descriptor in writable), default=0) + SLACK)


def in_memory(writable: Iterable[int]) -> int:
    """Bytes of these files that count as the process's own memory, because they are on a file system in memory.

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
    """The largest image file in bytes for a disk of that size."""
    return disk + disk // METADATA


def of_process(pid: int) -> int | None:
    """The process's limit; None: it was started without one by an earlier version. Raises `OSError` if it has ended."""
    bound = limit(pid, "Max file size")
    return int(bound) if bound.isdigit() else None
