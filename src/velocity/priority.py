"""The server's priority over its guests: pausing a busy guest must not wait for it. sched(7), docs/decisions/0015

Fifty vCPUs that compute on two cores leave a thread like theirs a twenty-fifth of a core; this one has half of one. An
ordinary user may not have this: then all stays as it is. A niceness that somebody gave the process was meant.
"""

from __future__ import annotations

import contextlib
import os

NICE = -15
SESSION = -5
"""Less, as it raises threads that hash passwords, too: strangers can ask for those."""
BEGINNING = -15
"""Of the session until it serves: nobody can ask for anything yet."""
AUTOGROUP = "/proc/self/autogroup"


def raise_thread() -> None:
    """The calling thread alone: what it begins, threads and processes, has the usual priority."""
    if _usual():
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
            os.setpriority(os.PRIO_PROCESS, 0, NICE)


def raise_session() -> None:
    """Among other sessions, as niceness counts within one only where the kernel has autogroups.

    Not where the process does not lead its session: that is a terminal's, with whatever else goes on there.
    """
    if _usual() and os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError), open(AUTOGROUP, "w") as group:  # noqa: PTH123, pathlib takes long to load
            group.write(str(BEGINNING))


def lower_session() -> None:
    """What `raise_session` did is lowered to what it is while the server serves."""
    with contextlib.suppress(OSError):
        with open(AUTOGROUP) as group:  # noqa: PTH123
            told = group.read().split()  # "/autogroup-7 nice -15", or nothing
        if told[-1:] == [str(BEGINNING)]:
            with open(AUTOGROUP, "w") as group:  # noqa: PTH123
                group.write(str(SESSION))


def _usual() -> bool:
    return os.getpriority(os.PRIO_PROCESS, 0) == 0
