"""Hears that files in a directory were written to. inotify(7), called by ctypes: to look its library up would cost a
program at each start of the server."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import logging
import os
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from velocity.hypervisor.port import HypervisorError

log = logging.getLogger(__name__)
T = TypeVar("T")

DEBOUNCE = 0.005
"""Seconds for which nothing is heard after something was: QEMU writes what a guest says byte by byte, and for each one
to be a turn of the loop, and a message to whoever watches, would cost the guest its processor."""
MIN_INTERVAL = 0.05
"""Seconds between two pieces of work."""
RETRY_DELAY = 1.0
"""Seconds until work that failed is tried again."""
IN_MODIFY = 0x2
EVENT = struct.Struct("iIII")


class DirectoryWatch:
    """The directories of all machines, on one descriptor."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = -1
        self._heard: dict[int, Callable[[], None]] = {}

    def watch_directory(self, directory: Path, heard: Callable[[], None]) -> int:
        """Call it whenever a file there was written to; the number is for `remove`. Raises `OSError`."""
        if self._descriptor < 0:
            self._descriptor = self._called(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
            self._listen()
        number = self._called(self._libc.inotify_add_watch(self._descriptor, os.fsencode(directory), IN_MODIFY))
        self._heard[number] = heard
        return number

    def remove(self, number: int) -> None:
        """Gone already, with its directory, is success."""
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
        # An overflow of the kernel's queue names none: then it may be any of them.
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
    """Does a piece of work after something was heard, once for all that was heard meanwhile; what fails, again."""

    def __init__(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        self._what = what
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
            except (OSError, HypervisorError) as error:
                if not self._fails:  # else once a second
                    log.warning("%s cannot be stored, retrying: %s", self._what, error)
                self._fails = True
                self._more.set()
                await asyncio.sleep(RETRY_DELAY)
            await asyncio.sleep(MIN_INTERVAL)


async def to_its_end(work: Callable[[], T]) -> T:
    """Work in a thread; who is cancelled waits for it first, as it works on descriptors that are closed next."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
