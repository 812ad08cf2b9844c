"""How late the server's event loop is, and what blocked it.

A beat in the loop notes how late it is. Where that is asked for, a thread sees that a beat does not come, and looks at
what the loop's thread is doing: asyncio's debug mode tells of a slow call only when it is over, without its stack, and
costs each call something.
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
"""Seconds from one beat to the next: what holds the loop for less may lie between two."""
HELD = 0.05
"""Seconds that a beat is late when the loop's stack is taken."""
LONG = 1.0
"""Seconds after which a hold is told although it goes on."""
QUIET = 10.0
"""Seconds from one warning to the next."""
DEPTH = 16
"""Calls of the stack that are told, the innermost ones."""
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Seconds; a beat counts under each bound that it is not later than."""
MACHINERY = frozenset({"asyncio", "selectors", "uvloop"})
"""The packages that a loop is in while it waits, be it for work or for the processor."""


class Lag:
    """How late the beats were, since the start of the server. `seconds` is all of it together."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._counts = [0] * (len(BOUNDS) + 1)

    def note(self, seconds: float) -> None:
        self.seconds += seconds
        self._counts[bisect_left(BOUNDS, seconds)] += 1

    def buckets(self) -> list[tuple[str, int]]:
        """Each bound, and how many beats were not later, as OpenMetrics has it."""
        return list(zip([*map(str, BOUNDS), "+Inf"], accumulate(self._counts), strict=True))


@dataclass
class Hold:
    """The beat that was due then did not come. `seconds` it was late, and `computed` for, when it came at last."""

    due: float
    stack: traceback.StackSummary
    seconds: float | None = None
    computed: float = 0.0
    told: bool = False


class LoopWatchdog:
    """Watches the loop that it is opened in; with `stacks`, by a thread too. `clock` gives seconds."""

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
        """Seconds of the processor that the loop's thread has had since the last beat."""
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
            self._hold = None  # the beat came while its stack was taken
        elif now - due >= LONG:
            self._tell(hold, now, now - due, self._computed())

    def _taken(self, due: float) -> Hold | None:
        """What holds the loop; None: it has just gone on, or nothing of ours does, as the host is busy."""
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
