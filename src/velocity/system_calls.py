"""Linux system calls that Python lacks. Each affects the calling thread, and what it starts.

The C library makes setresuid(2) and the like in every thread of a process; the kernel's own calls do not. nptl(7),
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
"""By machine, as its <asm/unistd.h> has them."""
NEW_NUMBERS = {"close_range": 436, "mount_setattr": 442}
"""Those that came when the machines' tables had become one."""


def system_call(name: str, *arguments: Any) -> None:
    """Make the call of that name. Raises `OSError`: ENOSYS where its number is not known for this machine."""
    number = _numbers().get(name)
    if number is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    call(libc().syscall, ctypes.c_long(number), *arguments)


@functools.cache
def _numbers() -> dict[str, int]:
    """Those of this machine."""
    return {**NUMBERS.get(os.uname().machine, {}), **NEW_NUMBERS}


def call(function: Any, *arguments: Any) -> None:
    """Call a function of the C library that answers -1 when it fails. Raises `OSError`."""
    if function(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@functools.cache
def libc() -> ctypes.CDLL:
    """The C library, with errno kept for each thread."""
    return ctypes.CDLL(None, use_errno=True)
