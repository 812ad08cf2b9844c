"""Images that machines have open: their daemons outlive the server, and end when nobody uses the file any more."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from velocity.storage.rbd.opened import PROGRAM

LENT = "lent."
LATE = 15.0
"""Seconds that a daemon has to end after SIGTERM."""
WAIT, LOOK = 5.0, 0.05
"""Seconds that killed daemons have to end, and between checks."""


def lent(scratch: Path) -> list[Path]:
    """The files of daemons, running or ended."""
    return list(scratch.glob(f"{LENT}*"))


def end_unused(scratch: Path, beginning: Collection[Path], told: dict[int, float]) -> None:
    """End the daemons whose files nobody has open, and remove the files of ended daemons.

    Those of `beginning` are about to be opened. `told`: when daemons were sent SIGTERM. A daemon that waits for its
    cluster does not end, and blocks killed processes that use its file, so it is killed after a while: a process that
    has ended in order has left no data in it.
    """
    unused, daemons = _unused(scratch, beginning)
    for pid in told.keys() - daemons.values():
        del told[pid]
    for file in unused:
        if file in daemons:
            late = time.monotonic() - told.setdefault(daemons[file], time.monotonic()) > LATE
            with contextlib.suppress(ProcessLookupError):
                os.kill(daemons[file], signal.SIGKILL if late else signal.SIGTERM)
        else:
            Path(file).unlink(missing_ok=True)


def kill_unused(scratch: Path, beginning: Collection[Path]) -> int:
    """Kill these daemons at once, with unwritten data; returns how many are left after a while."""
    end = time.monotonic() + WAIT
    while True:
        unused, daemons = _unused(scratch, beginning)
        there = [daemons[file] for file in unused if file in daemons]
        for pid in there:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not there or time.monotonic() > end:
            return len(there)
        time.sleep(LOOK)


def _unused(scratch: Path, beginning: Collection[Path]) -> tuple[set[str], dict[str, int]]:
    """The files that no process has open, and all files' daemons (pids)."""
    files = {str(file) for file in lent(scratch) if file not in beginning}
    daemons = dict(_daemons(files)) if files else {}
    return files - set(_opened()) if files else files, daemons


def _daemons(files: set[str]) -> Iterator[tuple[str, int]]:
    for pid in _pids():
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
            if Path(words[0]).name == PROGRAM:
                found = next((file for file in files if any(f"mountpoint={file}," in word for word in words)), None)
                if found is not None:
                    yield found, pid


def _opened() -> Iterator[str]:
    """The names of all files that processes have open. Does not touch the files themselves, which could block."""
    for pid in _pids():
        with contextlib.suppress(OSError):
            for one in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    yield str(one.readlink())


def _pids() -> Iterator[int]:
    return (int(one.name) for one in Path("/proc").iterdir() if one.name.isdecimal())
