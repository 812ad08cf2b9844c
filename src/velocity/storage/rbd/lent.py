"""Images that machines have open: their daemons outlive the server, and end when nobody uses the file any more.

So do those that a former server had open itself, if its cluster did not answer as that server ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from velocity.storage.rbd.opened import PROGRAM

LENT = "lent."
LATE = 15.0
"""Seconds that a daemon has to end after SIGTERM."""
WAIT, LOOK = 5.0, 0.05
"""Seconds that killed daemons have to end, and between checks."""


def lent(scratch: Path) -> list[Path]:
    """The files of machines' daemons, running or ended."""
    return list(scratch.glob(f"{LENT}*"))


def others(scratch: Path) -> set[Path]:
    """The files of all other daemons."""
    return {one for one in scratch.glob("*") if not one.name.startswith(LENT)}


def end_unused(files: Collection[Path], told: dict[int, float], is_full: Callable[[], bool]) -> None:
    """End the daemons of these files if nobody has them open, and remove the files of ended daemons.

    `told`: when daemons were sent SIGTERM. A daemon that waits for its cluster does not end, and blocks killed
    processes that use its file, so it is killed: after a while, in a full pool at once. A process that has ended in
    order has left no data in it.
    """
    unused, daemons = _unused(files)
    for pid in told.keys() - daemons.values():
        del told[pid]
    late = 0.0 if daemons.keys() & unused and is_full() else LATE
    for file in unused:
        if file in daemons:
            waits = time.monotonic() - told.setdefault(daemons[file], time.monotonic()) < late
            tell(daemons[file], file, signal.SIGTERM if waits else signal.SIGKILL)
        else:
            Path(file).unlink(missing_ok=True)


def kill_unused(files: Collection[Path]) -> int:
    """Kill these daemons at once, with unwritten data; returns how many are left after a while."""
    end = time.monotonic() + WAIT
    while True:
        unused, daemons = _unused(files)
        there = unused & daemons.keys()
        for file in there:
            tell(daemons[file], file, signal.SIGKILL)
        if not there or time.monotonic() > end:
            return len(there)
        time.sleep(LOOK)


def tell(pid: int, file: str, number: signal.Signals) -> None:
    """Send a signal to the daemon of this file, and to no other process that has got its pid since. pidfd_open(2)"""
    with contextlib.suppress(OSError):
        pidfd = os.pidfd_open(pid)
        try:
            if _file_of(pid, (file,)) == file:
                signal.pidfd_send_signal(pidfd, number)
        finally:
            os.close(pidfd)


def _unused(files: Collection[Path]) -> tuple[set[str], dict[str, int]]:
    """The files that no process has open, and all files' daemons (pids)."""
    names = set(map(str, files))
    daemons = dict(_daemons(names)) if names else {}
    return names - set(_opened()) if names else names, daemons


def _daemons(files: set[str]) -> Iterator[tuple[str, int]]:
    for pid in _pids():
        with contextlib.suppress(OSError):
            if (found := _file_of(pid, files)) is not None:
                yield found, pid


def _file_of(pid: int, files: Collection[str]) -> str | None:
    """Which of these files a process is the daemon of. Raises `OSError`."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    if Path(words[0]).name != PROGRAM:
        return None
    return next((file for file in files if any(f"mountpoint={file}," in word for word in words)), None)


def _opened() -> Iterator[str]:
    """The names of all files that processes have open. Does not touch the files themselves, which could block."""
    for pid in _pids():
        with contextlib.suppress(OSError):
            for one in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    yield str(one.readlink())


def _pids() -> Iterator[int]:
    return (int(one.name) for one in Path("/proc").iterdir() if one.name.isdecimal())
