"""What the processes of a server and a node share: log, threads, memory, and messages to systemd."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import mmap
import os
import queue
import resource
import socket
import sys
import threading
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from logging.handlers import QueueHandler, QueueListener
from typing import Any

import click

from velocity.cli import hints
from velocity.cli.words import clean
from velocity.config import PREFIX, Settings, foreign

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
GATHERED = 0.05
"""Seconds for which lines of the log are collected."""

OTHER_THREADS = 8
"""Threads of the store, the log, the event loop, and the namespaces of the next program."""
STACK = 8 << 20
"""Bytes of address space for each thread."""
HEADROOM = 64 << 20
FILES = 65_536
"""Descriptors, as the unit allows."""

OF_KUBERNETES = (f"{PREFIX}PORT", f"{PREFIX}SERVICE_")
"""Variables that Kubernetes sets in every container beside a service called velocity."""
NO_ROOM = (
    "the server needs more threads (about twenty, and eight for each pool) or more memory (a few hundred MiB): raise "
    "the limits of its user (ulimit -u and -v; with systemd LimitNPROC=, TasksMax= and MemoryMax=; in a container its "
    "pids and memory limits)"
)


def warn_of_foreign() -> None:
    """Warn of unknown variables: one of them may be a misspelt setting."""
    for name in foreign():
        near = hints.meant(name.removeprefix(PREFIX).lower(), Settings.__struct_fields__)
        if near or not name.startswith(OF_KUBERNETES):
            click.secho(f"warning: {clean(name)} is no setting, and is ignored{near}", fg="yellow", err=True)


def _check_room(threads: int) -> None:
    """Raises `MemoryError`: a thread that finds no memory at its start dies, and Python would wait for it forever."""
    try:
        mmap.mmap(-1, threads * STACK + HEADROOM).close()
    except OSError:
        raise MemoryError from None


def work_threads(of_pools: int) -> ThreadPoolExecutor:
    """Start all threads for files and hashes now, so that a lack of resources shows at the start.

    Checks that address space is left for the threads `of_pools`, which storage starts.
    """
    count = min(32, (os.cpu_count() or 1) + 4)
    _check_room(count + of_pools + OTHER_THREADS)
    threads = ThreadPoolExecutor(count, "work")
    together = threading.Barrier(count + 1)
    try:
        for _ in range(count):
            threads.submit(together.wait)
    except BaseException:
        together.abort()
        raise
    together.wait()
    return threads


class _Journal(logging.Formatter):
    """Lines with their priority, for the journal, which has its own timestamps. sd-daemon(3)"""

    def format(self, record: logging.LogRecord) -> str:
        priority = 3 if record.levelno >= logging.ERROR else 4 if record.levelno >= logging.WARNING else 6
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


class _Queued(QueueHandler):
    """Queues records unformatted; the writer's thread formats them."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record


class _Writer(QueueListener):
    """Writes lines together: waking the thread for each line would take the interpreter from requests."""

    queue: queue.SimpleQueue[logging.LogRecord]

    def dequeue(self, block: bool) -> logging.LogRecord:
        first = self.queue.empty()
        record = self.queue.get(block)
        if first and block:
            time.sleep(GATHERED)
        return record


@contextlib.contextmanager
def logging_to_stderr() -> Iterator[None]:
    """Log to stderr from a thread, so that a slow reader delays no request."""
    handler = logging.StreamHandler(sys.stderr)
    if os.environ.get("JOURNAL_STREAM"):
        handler.setFormatter(_Journal("%(name)s: %(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    # Do not look up what no line shows. https://docs.python.org/3/howto/logging.html#optimization
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    lines: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    logging.basicConfig(level=logging.INFO, handlers=[_Queued(lines)])
    logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    writer = _Writer(lines, handler)
    writer.start()
    try:
        yield
    finally:
        writer.stop()


def tell_systemd(state: str) -> None:
    """Send a message to systemd, if it has started us. sd_notify(3)"""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if place.startswith(("/", "@")):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
            way.sendto(state.encode(), place.replace("@", "\0", 1) if place.startswith("@") else place)


async def heard_by_systemd(work: Coroutine[Any, Any, None]) -> None:
    """Do the work, and tell systemd's watchdog that the loop is alive, if it is enabled: a blocked server is restarted.

    sd_watchdog_enabled(3)
    """
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    beating = asyncio.create_task(_beat(int(microseconds) / 4e6)) if microseconds.isdecimal() else None
    try:
        await work
    finally:
        if beating is not None:
            beating.cancel()


async def _beat(seconds: float) -> None:
    while True:
        tell_systemd("WATCHDOG=1")
        await asyncio.sleep(seconds)


def bound_umask() -> None:
    """What the server makes can be read by itself and written by nobody else, whatever umask it was started with."""
    os.umask((os.umask(0o077) | 0o022) & 0o077)


def raise_file_limit() -> None:
    """Let the process open as many files as it may: shells begin with 1,024, too few for as many readers of events."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def keep_memory(arenas: int = 0) -> None:
    """Let glibc keep the buffers of uploads instead of mapping and unmapping each one. mallopt(3)

    With so many `arenas` (0: one for each thread, within limits) what one thread gave back is any other's to have.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(M_TRIM_THRESHOLD, 64 << 20)
        if arenas:
            libc.mallopt(M_ARENA_MAX, arenas)
