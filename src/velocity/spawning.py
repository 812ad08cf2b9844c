"""Starting programs with only the descriptors that they are given.

Where there is no /proc, as in `velocity.sandbox`, subprocess.Popen closes each number up to the limit of open files:
65,000 calls in an installed server. posix_spawn(3), close_range(2)
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Mapping, Sequence

from velocity.system_calls import system_call

LAST, CLOSE_RANGE_CLOEXEC = 0xFFFFFFFF, 4


def spawn(
    command: Sequence[str],
    *,
    stdin: int,
    stdout: int,
    stderr: int,
    files: Sequence[int] = (),
    env: Mapping[str, str],
    session: bool = False,
    reset: Iterable[signal.Signals] = (signal.SIGPIPE, signal.SIGXFSZ),
) -> int:
    """Begin it; its pid, which the caller waits for. Raises `OSError`, as when there is no such program.

    `files` keep their numbers. `session`: it leads one of its own, so that a terminal's Ctrl-C does not reach it.
    `reset` are signals that Python ignores, and the program does not.
    """
    with contextlib.suppress(OSError):  # before Linux 5.11: Python has opened all of them so
        system_call("close_range", 3, LAST, CLOSE_RANGE_CLOEXEC)
    placed = [(stdin, 0), (stdout, 1), (stderr, 2), *((one, one) for one in files)]
    actions = [(os.POSIX_SPAWN_DUP2, one, number) for one, number in placed]
    return os.posix_spawnp(command[0], list(command), env, file_actions=actions, setsid=session, setsigdef=reset)
