"""Whether the host's clock can be believed. What is removed for its age waits until it has run evenly for an hour.

A clock without a battery is wrong when the host starts, and is set when the network comes; or somebody sets it to
another year. By one that is wrong, all that is kept for some days would be old.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

EVENLY = 3600.0
"""Seconds of the host's running for which it is not set."""
JUMP = 60.0
"""Seconds by which it is set: less is what a clock that is kept right is off by."""


def _passed() -> float:
    """Seconds since the host's start, those in which it was suspended included. clock_gettime(2)"""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SteadyClock:
    """`wall` is the host's clock, in Unix seconds; `passed` does not jump."""

    def __init__(self, wall: Callable[[], float] = time.time, passed: Callable[[], float] = _passed) -> None:
        self._wall = wall
        self._passed = passed
        self._before = wall(), passed()
        self._since = self._before[1]

    def is_steady(self) -> bool:
        """Whether it was not set for so long, as far as that was looked at: now, and each time before."""
        wall, passed = self._before
        self._before = self._wall(), self._passed()
        jump = self._before[0] - wall - (self._before[1] - passed)
        if abs(jump) > JUMP:
            log.warning("the host's clock was set by %+d seconds: for an hour nothing is removed for its age", jump)
            self._since = self._before[1]
        return self._before[1] - self._since >= EVENLY
