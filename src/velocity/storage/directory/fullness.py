"""Whether a pool is full: no free blocks, or no free inodes. A failed write counts as much as a query."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

AGAIN = 16 << 20
"""Bytes that must be free before the pool counts as not full any more; on smaller disks, a hundredth."""
QUOTA = 60.0
"""Seconds for which a quota of the file system counts as exceeded after an error: it cannot be queried."""
FULL = {errno.ENOSPC, errno.EDQUOT}


def lacks(path: Path) -> str:
    """What the file system lacks, in words; empty: nothing. Raises `OSError`."""
    facts = os.statvfs(path)
    if facts.f_bavail == 0:
        return "no byte is free"
    return "no inode is free, so that it can hold no more files" if facts.f_files and not facts.f_favail else ""


class Fullness:
    """Whether one pool is full."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._why = ""
        self._until = 0.0

    def heard(self, error: OSError) -> None:
        """Note that a write failed."""
        if error.errno in FULL:
            self._why = f"the last write was refused: {error.strerror}"
            self._until = self._clock() + (QUOTA if error.errno == errno.EDQUOT else 0)

    def why(self) -> str:
        """Why the pool is full; empty if it is not. Raises `OSError`."""
        if lack := lacks(self._path):
            self._why = lack
        elif self._why and self._clock() >= self._until and self._has_room():
            self._why = ""
        return self._why

    def _has_room(self) -> bool:
        facts = os.statvfs(self._path)
        size = facts.f_blocks * facts.f_frsize
        inodes = not facts.f_files or facts.f_favail >= min(16, facts.f_files / 100)
        return inodes and facts.f_bavail * facts.f_frsize >= min(AGAIN, size / 100)
