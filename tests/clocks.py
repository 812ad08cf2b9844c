"""Clocks that are believed, as they have run evenly for an hour."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from velocity.steady_clock import BOOT, EVENLY, Even, SteadyClock


def believed(now: float) -> SteadyClock:
    """It stands still at that Unix time, an hour later."""
    passed = 0.0
    clock = SteadyClock(lambda: now + passed, lambda: passed)
    passed = EVENLY
    return clock


def believe(data: Path) -> None:
    """The next server on that data directory finds that its host's clock has run evenly."""
    since = time.time() - EVENLY, time.clock_gettime(time.CLOCK_BOOTTIME) - EVENLY
    (data / "clock.json").write_bytes(msgspec.json.encode(Even(BOOT.read_text().strip(), *since)))
