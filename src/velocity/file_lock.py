"""A lock that is released when its holder ends: one server or node per data directory, one server per database file."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path


class Busy(Exception):
    """Another process has it."""


class FileLock:
    """A lock on a file, which ends with its process. Without a file (a database in memory) it always succeeds."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._descriptor = -1

    def take(self) -> None:
        if self._file is None:
            return
        descriptor = os.open(self._file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise Busy from None
        self._descriptor = descriptor

    def look(self) -> bool:
        """Whether the lock is held. If its file was removed or replaced, which makes it useless, it is taken anew."""
        if self._file is None:
            return True
        with contextlib.suppress(OSError):
            if self._descriptor >= 0 and os.path.samestat(os.fstat(self._descriptor), self._file.stat()):
                return True
        self.close()
        with contextlib.suppress(Busy, OSError):
            self.take()
        return False

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
