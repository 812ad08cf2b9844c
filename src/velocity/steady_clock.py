"""Whether the host's clock can be trusted. What is removed because of its age waits until the clock has run for an hour
without a jump.

A clock without a battery is wrong until the network sets it, and people set clocks to other years. By a wrong clock,
everything kept for some days could seem old.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct, json

from velocity import durable

log = logging.getLogger(__name__)

EVENLY = 3600.0
"""Seconds without a jump that are required."""
JUMP = 60.0
"""A jump, in seconds: a synchronized clock is off by less."""
BOOT = Path("/proc/sys/kernel/random/boot_id")


def _passed() -> float:
    """Seconds since the host's start, including suspension. clock_gettime(2)"""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Even(Struct, frozen=True):
    """The file: when the clock began to run without a jump, by both clocks, and in which boot of the host."""

    boot: str
    wall: float
    passed: float


class SteadyClock:
    """`wall` is the host's clock, in Unix seconds; `passed` never jumps.

    `file` keeps when that began, for the next server: one that is restarted often would never see an hour.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        passed: Callable[[], float] = _passed,
        file: Path | None = None,
    ) -> None:
        self._wall = wall
        self._passed = passed
        self._file = file
        self._before = self._noted() or self._begin_anew()
        self._since = self._before[1]

    def is_steady(self) -> bool:
        """Whether no jump was seen within the last hour, in this call or an earlier one."""
        wall, passed = self._before
        self._before = self._wall(), self._passed()
        jump = self._before[0] - wall - (self._before[1] - passed)
        if abs(jump) > JUMP:
            log.warning("the host's clock was set by %+d seconds: for an hour nothing is removed for its age", jump)
            self._since = self._begin_anew()[1]
        return self._before[1] - self._since >= EVENLY

    def ago(self, seconds: float) -> int:
        """The Unix time before which things are too old; 0, before all, while the clock is not believed."""
        return int(self._before[0] - seconds) if self.is_steady() else 0

    def _noted(self) -> tuple[float, float] | None:
        """What an earlier server of this boot has seen."""
        if self._file is None:
            return None
        with contextlib.suppress(OSError, ValueError):  # msgspec's are such, too
            even = durable.read(self._file, Even)
            if even.boot == BOOT.read_text().strip() and even.passed <= self._passed():
                return even.wall, even.passed
        return None

    def _begin_anew(self) -> tuple[float, float]:
        now = self._wall(), self._passed()
        if self._file is not None:
            with contextlib.suppress(OSError):  # the next server begins anew, too
                durable.write(self._file, json.encode(Even(BOOT.read_text().strip(), *now)))
        return now
