"""How late the server's event loop is, and what has blocked it.

A beat in the loop measures its delay. If requested, a thread notices a missing beat and takes the stack of the loop's
thread: asyncio's debug mode reports slow calls only afterwards, without their stack, and slows down every call.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

log = logging.getLogger(__name__)

EVERY = 0.025
"""Seconds between beats; shorter blocks may go unnoticed."""
HELD = 0.05
"""Seconds of delay after which the loop's stack is taken."""
LONG = 1.0
"""Seconds after which a block is reported although it continues."""
QUIET = 10.0
"""Seconds between two warnings."""
DEPTH = 16
"""Innermost calls of the stack that are logged."""
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Upper bounds of the histogram's buckets, in seconds."""
MACHINERY = frozenset({"asyncio", "selectors", "uvloop"})
"""Packages in which a loop is while it waits, for events or for the CPU."""


class Lag:
    """The delays of the beats since the server's start. `seconds` is their sum."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._counts = [0] * (len(BOUNDS) + 1)

    def note(self, seconds: float) -> None:
        self.seconds += seconds
        self._counts[bisect_left(BOUNDS, seconds)] += 1

    def buckets(self) -> list[tuple[str, int]]:
        """Each bound with the number of beats up to it, as OpenMetrics requires."""
        return list(zip([*map(str, BOUNDS), "+Inf"], accumulate(self._counts), strict=True))


@dataclass
class Hold:
    """A late beat, due at `due`. `seconds`: its delay, and `computed`: the CPU time in it, once it has come."""

    due: float
    stack: traceback.StackSummary
    seconds: float | None = None
    computed: float = 0.0
    told: bool = False


class LoopWatchdog:
    """Watches the loop in which it is opened; with `stacks`, also from a thread. `clock` is in seconds."""

    def __init__(self, lag: Lag, clock: Callable[[], float] = time.monotonic, *, stacks: bool) -> None:
        self._lag = lag
        self._stacks = stacks
        self._clock = clock
        self._hold: Hold | None = None
        self._warned = float("-inf")
        self._untold = 0
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ident = threading.get_ident()
        self._cpu = time.pthread_getcpuclockid(self._ident)
        self._next()
        if self._stacks:
            self._thread = threading.Thread(target=self._look_ever, name="loop watch", daemon=True)
            self._thread.start()

    def close(self) -> None:
        self._timer.cancel()
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    # In the loop

    def _beat(self) -> None:
        late = max(0.0, self._clock() - self._due)
        self._lag.note(late)
        hold = self._hold
        if hold is not None and hold.due == self._due:
            hold.computed = self._computed()
            hold.seconds = late
        self._next()

    def _next(self) -> None:
        self._begun = time.clock_gettime(self._cpu)
        self._due = self._clock() + EVERY
        self._timer = self._loop.call_later(EVERY, self._beat)

    def _computed(self) -> float:
        """CPU time of the loop's thread since the last beat."""
        return time.clock_gettime(self._cpu) - self._begun

    # In the thread

    def _look_ever(self) -> None:
        while not self._closed.wait(max(EVERY, self._due + HELD - self._clock())):
            self._look()

    def _look(self) -> None:
        hold, due, now = self._hold, self._due, self._clock()
        if hold is None:
            if now - due >= HELD:
                self._hold = self._taken(due)
        elif hold.seconds is not None:
            self._tell(hold, now, hold.seconds, hold.computed)
            self._hold = None
        elif hold.due != due:
            self._hold = None  # the beat came while its stack was being taken
        elif now - due >= LONG:
            self._tell(hold, now, now - due, self._computed())

    def _taken(self, due: float) -> Hold | None:
        """What blocks the loop; None if it has just continued, or the host is too busy to run it."""
        frame = sys._current_frames()[self._ident]
        package = str(frame.f_globals.get("__name__")).partition(".")[0]
        if due != self._due or package in MACHINERY or frame.f_globals is globals():
            return None
        return Hold(due, traceback.extract_stack(frame, DEPTH))

    def _tell(self, hold: Hold, now: float, seconds: float, computed: float) -> None:
        if hold.told:
            return
        hold.told = True
        if now - self._warned < QUIET:
            self._untold += 1
            return
        log.warning(
            "the event loop was blocked for %.0f ms, %.0f of them computing%s, in\n%s",
            seconds * 1000,
            computed * 1000,
            f" (and {self._untold} more times since the last warning)" if self._untold else "",
            "".join(hold.stack.format()).rstrip(),
        )
        self._warned, self._untold = now, 0
