"""The watch over the event loop, with a clock that stands still unless a test moves it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.patience import PATIENCE, eventually
from velocity.config import Settings
from velocity.metrics.loop import BOUNDS, QUIET, Lag, LoopWatchdog

pytestmark = pytest.mark.anyio


class Clock:
    """`looks` counts how often another thread than the test's has read it; a beat is known by its time, so that each
    reading is a little later."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.jump = 0.0
        self._mine = threading.get_ident()
        self._looks = 0
        self._looked = threading.Condition()

    def __call__(self) -> float:
        if threading.get_ident() != self._mine:
            with self._looked:
                self._looks += 1
                self.now += self.jump
                self.jump = 0.0
                self._looked.notify_all()
        self.now += 1e-6
        return self.now

    def wait(self) -> None:
        """Until the thread has looked, from beginning to end."""
        with self._looked:
            seen = self._looks
            assert self._looked.wait_for(lambda: self._looks >= seen + 4, PATIENCE)


class Told(logging.Handler):
    """What was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.came = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self.came.set()


@pytest.fixture
def told() -> Iterator[Told]:
    handler = Told()
    log = logging.getLogger("velocity.metrics.loop")
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lag() -> Lag:
    return Lag()


@pytest.fixture
async def _watched(lag: Lag, clock: Clock, anyio_backend: str) -> AsyncIterator[None]:
    watch = LoopWatchdog(lag, clock, stacks=True)
    watch.open()
    yield
    watch.close()


def culprit(clock: Clock, seconds: float) -> None:
    """Holds the loop for so long by the clock, and in truth until the watch has looked."""
    clock.now += seconds
    clock.wait()  # the line that holds it


def late(lag: Lag) -> dict[str, int]:
    """Bound -> beats that were later than the bound before it and not later than this."""
    buckets = lag.buckets()
    return {bound: count - before for (bound, count), (_, before) in zip(buckets, [("", 0), *buckets], strict=False)}


async def looked(clock: Clock) -> None:
    for _ in range(2):
        await asyncio.sleep(0)  # the beat that is due comes first
    await asyncio.to_thread(clock.wait)


def test_a_beat_counts_under_each_bound_that_it_is_not_later_than() -> None:
    lag = Lag()
    for seconds in (0.0, 0.001, 0.0011, 0.05, 0.3, 1.0, 7.0):
        lag.note(seconds)
    assert [float(bound) for bound, _ in lag.buckets()] == [*BOUNDS, float("inf")]
    counts = dict(lag.buckets())
    assert [counts[bound] for bound in ("0.001", "0.0025", "0.025", "0.05", "0.25", "0.5", "1.0", "+Inf")] == [
        2, 3, 3, 4, 4, 5, 6, 7,
    ]  # fmt: skip
    assert lag.seconds == pytest.approx(8.3521)


@pytest.mark.holds("METRIC-7")
@pytest.mark.usefixtures("_watched")
async def test_what_holds_the_loop_is_named(lag: Lag, clock: Clock, told: Told) -> None:
    culprit(clock, 0.08)
    await asyncio.to_thread(told.came.wait, 30)
    (line,) = told.lines
    first, *stack = line.splitlines()
    assert first.startswith("the event loop was blocked for 55 ms, ") and first.endswith(" of them computing, in")
    assert "clock.wait()  # the line that holds it" in line and "in culprit" in line
    assert "in test_what_holds_the_loop_is_named" in line, "and who called it"
    assert late(lag)["0.1"] == 1, "the beat was due 25 ms after the one before"
    assert len(stack) <= 2 * 16


async def test_without_stacks_there_is_no_thread_and_lag_is_counted_all_the_same(
    lag: Lag, clock: Clock, anyio_backend: str
) -> None:
    before = set(threading.enumerate())
    watch = LoopWatchdog(lag, clock, stacks=Settings().log_stalls)
    watch.open()
    assert set(threading.enumerate()) <= before
    clock.now += 0.08
    await eventually(lambda: late(lag)["0.1"])
    watch.close()


@pytest.mark.usefixtures("_watched")
async def test_what_holds_it_for_long_is_told_while_it_does(clock: Clock, told: Told) -> None:
    clock.now += 3600
    assert told.came.wait(PATIENCE), "told before the loop went on"
    await looked(clock)
    assert len(told.lines) == 1, "and not again when it went on"


@pytest.mark.usefixtures("_watched")
async def test_warnings_are_rare_and_say_how_many_were_not_told(lag: Lag, clock: Clock, told: Told) -> None:
    for _ in range(3):
        culprit(clock, 0.2)
        await looked(clock)
    assert (len(told.lines), late(lag)["0.25"]) == (1, 3), "all are counted"
    culprit(clock, QUIET)
    await looked(clock)
    assert len(told.lines) == 2
    assert "computing (and 2 more times since the last warning), in" in told.lines[1]
    culprit(clock, QUIET)
    await looked(clock)
    assert "more times since" not in told.lines[2]


@pytest.mark.usefixtures("_watched")
async def test_a_host_that_lets_nothing_run_is_no_ones_fault(lag: Lag, clock: Clock, told: Told) -> None:
    clock.jump = 0.5  # while the loop waits
    while not late(lag)["0.5"]:  # it is counted
        await looked(clock)
    await looked(clock)
    assert told.lines == []
