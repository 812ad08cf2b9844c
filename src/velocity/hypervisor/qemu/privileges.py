"""A thread gives its privileges up, for the program that it begins: no program in between has to do it.

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


def give_up(uid: int | None) -> None:
    """The calling thread, and what it begins, becomes that uid, with no group but its own and no capability.

    None: an ordinary user, who has none to give up. Neither gains any again. Raises `OSError`.
    """
    if uid is not None:
        _empty_bounding_set()
        system_call("setgroups", 0, None)
        system_call("setresgid", uid, uid, uid)
        system_call("setresuid", uid, uid, uid)
        # The uid's change took the others; what can be inherited stayed. It takes the ambient ones with it.
        header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
        system_call("capset", header, (ctypes.c_uint32 * 6)())
    call(libc().prctl, PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0)))


def _empty_bounding_set() -> None:
    for capability in itertools.count():
        try:
            call(libc().prctl, PR_CAPBSET_DROP, *map(ctypes.c_ulong, (capability, 0, 0, 0)))
        except OSError as error:
            if error.errno == errno.EINVAL and capability:  # one more than the kernel has
                return
            raise
