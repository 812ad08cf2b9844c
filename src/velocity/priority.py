"""The server's priority over its guests: pausing a busy guest must not have to wait for it. sched(7),
docs/decisions/0015

Beside fifty vCPUs that compute on two cores, a thread of equal priority gets a twenty-fifth of a core; this one gets
half of one. Ordinary users may not raise priorities; then nothing changes. A nice value set by somebody else stays.
"""

from __future__ import annotations

import contextlib
import os

NICE = -15
SESSION = -5
"""Lower, as it also raises the threads that hash passwords, which anybody can keep busy."""
BEGINNING = -15
"""The session's until the server serves, as nobody can send requests yet."""
AUTOGROUP = "/proc/self/autogroup"


def raise_thread() -> None:
    """Raise the calling thread only: threads and processes that it starts have the usual priority."""
    if _usual():
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
            os.setpriority(os.PRIO_PROCESS, 0, NICE)


def raise_session() -> None:
    """Raise this session over others: with autogroups, nice values count only within a session.

    Only if this process leads the session: a terminal's may contain anything else.
    """
    if _usual() and os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError), open(AUTOGROUP, "w") as group:  # noqa: PTH123, pathlib takes long to load
            group.write(str(BEGINNING))


def lower_session() -> None:
    """Lower the session's priority to that of a serving server."""
    with contextlib.suppress(OSError):
        with open(AUTOGROUP) as group:  # noqa: PTH123
            told = group.read().split()  # "/autogroup-7 nice -15", or empty
        if told[-1:] == [str(BEGINNING)]:
            with open(AUTOGROUP, "w") as group:  # noqa: PTH123
                group.write(str(SESSION))


def _usual() -> bool:
    return os.getpriority(os.PRIO_PROCESS, 0) == 0
