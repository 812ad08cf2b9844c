"""Measures one QEMU: its process, its block statistics, the counters of its links. proc_pid_stat(5)"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from velocity.hypervisor.port import NotRunning, Traffic, Unknown, Usage
from velocity.hypervisor.qemu.watched_run import WatchedRun
from velocity.network import taps

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
PATIENCE = 3600.0
"""Seconds that a query stays open without an answer: a monitor that hangs is asked no more often than that."""


class Meter:
    """Measures one machine."""

    def __init__(self, qemu: WatchedRun, started: int) -> None:
        """`started` as in `Run`."""
        self._qemu = qemu
        self._started = started
        self._open: asyncio.Task[Any] | None = None

    async def measure(self, deadline: float, links: Sequence[str]) -> Usage:
        """Implements `velocity.hypervisor.port.Meters`; `links` are its present links."""
        if trouble := self._qemu.monitor.trouble:
            raise Unknown(trouble)
        devices = await self._blocks(deadline)
        cpu, memory, age = process(self._qemu.pid, self._started)
        return Usage(
            cpu=cpu,
            memory=memory,
            disk_read=total(devices, "rd_bytes"),
            disk_written=total(devices, "wr_bytes"),
            net=traffic(links),
            age=age,
        )

    def close(self) -> None:
        """Stop waiting for answers."""
        if self._open is not None:
            self._open.cancel()

    async def _blocks(self, deadline: float) -> list[dict[str, Any]]:
        if self._open is not None and not self._open.done():
            raise Unknown("QEMU has not answered the last query-blockstats yet")
        asking = self._open = asyncio.create_task(self._qemu.execute("query-blockstats", deadline=PATIENCE))
        asking.add_done_callback(lambda task: task.cancelled() or task.exception())  # an answer that nobody awaits
        answered, _ = await asyncio.wait({asking}, timeout=deadline)
        if not answered:
            raise Unknown("QEMU did not answer query-blockstats")
        answer: list[dict[str, Any]] = asking.result()
        return answer


def total(devices: Any, name: str) -> int:
    """The sum of a 64-bit counter over all devices. Raises `Unknown` if QEMU's answer makes no sense."""
    try:
        counted = [one["stats"][name] for one in devices]
    except (TypeError, LookupError):
        counted = [None]
    if not all(type(one) is int and 0 <= one < 1 << 64 for one in counted):
        raise Unknown("QEMU's block statistics are invalid")
    return sum(counted)


def process(pid: int, started: int) -> tuple[float, int, float]:
    """CPU seconds of all its threads, resident bytes, and age in seconds. Raises `NotRunning`.

    `started` distinguishes the process from a later one with the same pid; 0: not known.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except OSError:
        raise NotRunning("its process has ended") from None
    fields = text[text.rindex(")") + 2 :].split()
    if fields[0] in "ZX" or started not in (0, int(fields[19])):
        raise NotRunning("its process has ended")
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / TICKS
    return (int(fields[11]) + int(fields[12])) / TICKS, int(pages) * PAGE, max(0.0, age)


def traffic(links: Sequence[str]) -> Traffic | None:
    """Traffic over its links; None if there are none, or one has been removed."""
    try:
        counted = [taps.traffic(link) for link in links]
    except OSError:
        return None
    if not counted:
        return None
    return Traffic(sum(received for received, _ in counted), sum(sent for _, sent in counted))


def command(pid: int, shorter: Iterable[tuple[Path, str]]) -> list[str] | None:
    """Its command line, with paths below these directories shortened; None: it has ended."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")[:-1]
    except OSError:
        return None
    return [shortened(word, shorter) for word in words] or None


def shortened(word: str, shorter: Iterable[tuple[Path, str]]) -> str:
    """An argument without the host's directories, in any notation; the deepest are replaced first."""
    known = {f"{path}/": f"{name}/" for given, name in shorter for path in (given.absolute(), given.resolve())}
    # In an option, a comma is doubled.
    known |= {path.replace(",", ",,"): name for path, name in known.items()}
    for path in sorted(known, key=len, reverse=True):
        word = word.replace(path, known[path])
    return word
