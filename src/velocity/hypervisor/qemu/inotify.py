"""Notices writes to files in directories, by inotify(7).

Called through ctypes: finding its library by name would start a program at each start of the server.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import logging
import os
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

from velocity.hypervisor.port import HypervisorError

log = logging.getLogger(__name__)

DEBOUNCE = 0.005
"""Seconds without notifications after one: QEMU writes console output byte by byte.

An iteration of the loop and a message to viewers for each byte would take the guest's CPU time.
"""
MIN_INTERVAL = 0.05
"""Seconds between two runs of the work."""
RETRY_DELAY = 1.0
"""Seconds until failed work is retried."""
IN_MODIFY = 0x2
EVENT = struct.Struct("iIII")


class DirectoryWatch:
    """The directories of all machines, on one descriptor."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = -1
        self._heard: dict[int, Callable[[], None]] = {}

    def watch_directory(self, directory: Path, heard: Callable[[], None]) -> int:
        """Call it whenever a file in the directory is written to; the number is for `remove`. Raises `OSError`."""
        if self._descriptor < 0:
            self._descriptor = self._called(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
            self._listen()
        number = self._called(self._libc.inotify_add_watch(self._descriptor, os.fsencode(directory), IN_MODIFY))
        self._heard[number] = heard
        return number

    def remove(self, number: int) -> None:
        """Idempotent; a directory that is gone counts as removed."""
        if self._heard.pop(number, None) is not None and self._descriptor >= 0:
            self._libc.inotify_rm_watch(self._descriptor, number)

    def close(self) -> None:
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _listen(self) -> None:
        if self._descriptor >= 0:
            asyncio.get_running_loop().add_reader(self._descriptor, self._read)

    def _read(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._descriptor)
        loop.call_later(DEBOUNCE, self._listen)
        try:
            data = os.read(self._descriptor, 64 << 10)
        except BlockingIOError:
            return
        numbers, at = set(), 0
        while at < len(data):
            number, _, _, length = EVENT.unpack_from(data, at)
            numbers.add(number)
            at += EVENT.size + length
        # An overflow of the kernel's queue names no directory: it may be any of them.
        for number in self._heard.copy() if -1 in numbers else numbers:
            if (heard := self._heard.get(number)) is not None:
                heard()

    def _called(self, result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            words = "no inotify watches are left: raise fs.inotify.max_user_watches" if number == errno.ENOSPC else None
            raise OSError(number, words or os.strerror(number))
        return result


class Follower:
    """Does work after notifications, once for all that have come meanwhile; retries it when it fails."""

    def __init__(self, what: str, work: Callable[[], Awaitable[None]], retry: float = RETRY_DELAY) -> None:
        """`retry`: seconds until failed work is done again."""
        self._what = what
        self._retry = retry
        self._work = work
        self._fails = False
        self._more = asyncio.Event()
        self._task = asyncio.create_task(self._follow())

    def wake(self) -> None:
        self._more.set()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _follow(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            try:
                await self._work()
                self._fails = False
            except Exception as error:
                if not self._fails:  # else once a second
                    known = isinstance(error, OSError | HypervisorError)
                    log.warning("%s cannot be stored, retrying: %s", self._what, error, exc_info=not known)
                self._fails = True
                self._more.set()
                await asyncio.sleep(self._retry)
            await asyncio.sleep(MIN_INTERVAL)
