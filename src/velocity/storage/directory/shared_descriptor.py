"""Open files that several threads use. While one hangs, the file is not closed: its number could be reused."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Iterator

from velocity.storage.port import Stat


class SharedDescriptor:
    """A descriptor that is closed when nobody uses it any more, however late that is."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._turn = threading.Lock()
        self._users = 0
        self._closed = False

    @contextlib.contextmanager
    def use(self) -> Iterator[int]:
        """Within, it stays open. Raises `OSError` if it is closed."""
        with self._turn:
            if self._closed:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            self._users += 1
        try:
            yield self._descriptor
        finally:
            with self._turn:
                self._users -= 1
                if self._closed and not self._users:
                    self._release()

    def close(self) -> None:
        """Close it, if it is open."""
        with self._turn:
            if not self._closed:
                self._closed = True
                if not self._users:
                    self._release()

    def stat(self) -> Stat:
        """Raises `OSError`."""
        with self.use() as descriptor:
            facts = os.fstat(descriptor)
        return Stat(facts.st_size, facts.st_blocks * 512, facts.st_mtime)

    def truncate(self, size: int) -> None:
        """Raises `OSError`."""
        with self.use() as descriptor:
            os.ftruncate(descriptor, size)

    def _release(self) -> None:
        os.close(self._descriptor)
