"""Linux system calls that Python lacks. Each affects the calling thread, and what it starts.

The C library's setresuid(2) and the like affect every thread of a process; the kernel's own calls do not. nptl(7),
syscall(2)
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from typing import Any

NUMBERS = {
    "x86_64": {"setgroups": 116, "setresuid": 117, "setresgid": 119, "capset": 126, "pivot_root": 155},
    "aarch64": {"setgroups": 159, "setresuid": 147, "setresgid": 149, "capset": 91, "pivot_root": 41},
}
"""By machine, as in its <asm/unistd.h>."""
NEW_NUMBERS = {"open_tree": 428, "move_mount": 429, "close_range": 436, "mount_setattr": 442}
"""Newer calls, whose numbers are the same on all machines."""


def system_call(name: str, *arguments: Any) -> int:
    """Make a system call; returns its result. Raises `OSError`: ENOSYS if its number is not known for this machine."""
    number = _numbers().get(name)
    if number is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    return call(libc().syscall, ctypes.c_long(number), *arguments)


@functools.cache
def _numbers() -> dict[str, int]:
    """The numbers for this machine."""
    return {**NUMBERS.get(os.uname().machine, {}), **NEW_NUMBERS}


def call(function: Any, *arguments: Any) -> int:
    """Call a function of the C library that returns -1 if it fails; returns its result. Raises `OSError`."""
    if (result := int(function(*arguments))) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


@functools.cache
def libc() -> ctypes.CDLL:
    """The C library, with an errno for each thread."""
    return ctypes.CDLL(None, use_errno=True)
