"""One process: its end, noticed by a pidfd, and its mounts, kept until its remains are removed. pidfd_open(2)"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable


class Mounts:
    """Keeps a process's mounts until `close`: unmounting them would delay the news of its end."""

    def __init__(self, pid: int) -> None:
        self._descriptor = -1
        with contextlib.suppress(OSError):  # it has ended, or may not be examined: then nothing is kept
            self._descriptor = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)

    def fileno(self) -> int:
        """-1: none."""
        return self._descriptor

    def close(self) -> None:
        """Idempotent. If the process has ended, this takes a while: call it in a thread."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class ProcessWatch:
    """Calls `on_end` once, when the process has ended."""

    def __init__(self, pid: int, on_end: Callable[[], None]) -> None:
        """Raises `OSError`: it cannot be watched."""
        self.pid = pid
        self._on_end = on_end
        self._pidfd = os.pidfd_open(pid)
        self.mounts = Mounts(pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._ended)

    def kill(self) -> None:
        """Without effect if it has ended."""
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def reap(self) -> int | None:
        """The wait status of the process, which has ended; None if it is not our child, as another server started it.

        Its mounts are still kept.
        """
        try:
            return os.waitpid(self.pid, os.WNOHANG)[1]
        except ChildProcessError:
            return None
        finally:
            self._stop()

    def close(self) -> None:
        """Stop watching, and let go of the mounts. Idempotent."""
        self._stop()
        self.mounts.close()

    def _ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        self._on_end()

    def _stop(self) -> None:
        pidfd, self._pidfd = self._pidfd, -1
        if pidfd >= 0:
            asyncio.get_running_loop().remove_reader(pidfd)
            os.close(pidfd)
