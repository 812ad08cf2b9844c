"""What the kernel tells of processes that may end, and close what they have open, while one looks."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def state(pid: int) -> str:
    """In a letter: `T` stands still, `Z` has ended; `X` also where there is no such process. proc_pid_stat(5)"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def lives(pid: int) -> bool:
    """Not once it has ended, although its parent has yet to wait for it."""
    return state(pid) not in "ZX"


def open_files(pid: int) -> list[str]:
    """Where its open descriptors lead."""
    found = []
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(os.fspath(one.readlink()))
    return found
