"""The server's threads go before guests: who pauses a busy guest must not wait behind it.

Fifty vCPUs that compute on two cores leave a thread like theirs a twenty-fifth of a core; this one has half of one.
sched(7), docs/decisions/0015.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

NICE = -15
SESSION = -5
"""Less, as it raises threads that hash passwords, too: strangers can ask for those."""


def raise_own() -> None:
    """For the calling thread alone: what it begins, threads and processes, has the usual priority.

    Where the kernel shares among sessions first (autogroup), the server's session is raised, too.
    Whoever has set another niceness meant it. An ordinary user may not; then all stays as it is.
    """
    if os.getpriority(os.PRIO_PROCESS, 0) != 0:
        return
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    if os.getsid(0) == os.getpid():  # else it is the session of a terminal, with whatever else goes on there
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(SESSION))
