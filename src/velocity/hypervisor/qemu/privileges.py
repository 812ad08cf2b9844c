"""Drops the privileges of a thread, for the program that it starts, without a helper program.

Every call concerns this thread alone. capabilities(7), prctl(2),
https://www.kernel.org/doc/html/latest/userspace-api/no_new_privs.html
"""

from __future__ import annotations

import ctypes
import errno
import itertools

from velocity.system_calls import call, libc, system_call

PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
CAPABILITY_VERSION_3 = 0x20080522


def drop(uid: int | None) -> None:
    """The calling thread, and what it starts, gets that uid, no supplementary groups and no capabilities.

    None: an ordinary user, who has none to drop. In both cases none can be gained again. Raises `OSError`.
    """
    if uid is not None:
        _empty_bounding_set()
        system_call("setgroups", 0, None)
        system_call("setresgid", uid, uid, uid)
        system_call("setresuid", uid, uid, uid)
        # Changing the uid has cleared the other sets, but not the inheritable one, with which the ambient one goes.
        header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
        system_call("capset", header, (ctypes.c_uint32 * 6)())
    call(libc().prctl, PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0)))


def _empty_bounding_set() -> None:
    nothing = ctypes.c_ulong(0)
    for capability in itertools.count():
        try:
            call(libc().prctl, PR_CAPBSET_DROP, ctypes.c_ulong(capability), nothing, nothing, nothing)
        except OSError as error:
            if error.errno == errno.EINVAL and capability:  # one more than the kernel has
                return
            raise
