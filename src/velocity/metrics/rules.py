"""Rates from counters, and the series in which they are kept, from an hour to a year. Pure."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from math import isnan, nan

from msgspec import Struct

from velocity.hypervisor.port import Usage

INTERVAL = 10
"""Seconds between measurements."""
COLUMNS = ("cpu", "memory_mib", "disk_read", "disk_written", "net_received", "net_sent")
"""The values of a point: percent of one core, MiB, then bytes a second."""

SPANS = {"hour": (INTERVAL, 360), "day": (120, 720), "week": (1200, 504), "month": (7200, 372), "year": (86_400, 366)}
"""Name -> seconds for each point, and the number of points. A point is the mean of points of the previous span, whose
length is a multiple of theirs, so that they are adjacent in its ring.
"""

Point = Sequence[float | None]
"""A value for each column; None: not measured."""


def point(before: Usage | None, after: Usage, seconds: float) -> Point:
    """The point between two measurements of a run; without an earlier one, only present values."""
    memory = after.memory / (1 << 20)
    if before is None or seconds <= 0:
        return (None, memory, None, None, None, None)
    net: tuple[float | None, float | None] = (None, None)
    if before.net is not None and after.net is not None:
        net = (
            _rate(before.net.received, after.net.received, seconds),
            _rate(before.net.sent, after.net.sent, seconds),
        )
    cpu = _rate(before.cpu, after.cpu, seconds)
    return (
        None if cpu is None else 100 * cpu,
        memory,
        _rate(before.disk_read, after.disk_read, seconds),
        _rate(before.disk_written, after.disk_written, seconds),
        *net,
    )


def _rate(before: float, after: float, seconds: float) -> float | None:
    """If the counter has fallen, it was reset in between, and the rate is unknown."""
    return None if after < before else (after - before) / seconds


class Series(Struct, frozen=True):
    """Consecutive times, and a value for each of them in every column."""

    interval: int
    at: list[int]
    columns: dict[str, list[float | None]]


class Ring:
    """The last `size` points, one for each `interval` seconds; the n-th since 1970 begins at n * interval.

    Each place records which point it holds; any other was not measured. So a wrong clock or a truncated file affects
    only the places that it has touched.
    """

    def __init__(self, interval: int, size: int) -> None:
        self.interval = interval
        self.size = size
        self._numbers = array("I", [0]) * size
        self._columns = [array("f", [nan]) * size for _ in COLUMNS]

    def put(self, number: int, values: Point) -> None:
        """Set the n-th point."""
        at = number % self.size
        self._numbers[at] = number
        for column, value in zip(self._columns, values, strict=True):
            column[at] = nan if value is None else value

    def series(self, until: int) -> Series:
        """From the first known point to the `until`-th, at most `size`; empty if none is known."""
        first = self.first(until)
        shown = range(until + 1 if first is None else first, until + 1)
        columns = {name: [self._get(number, at) for number in shown] for at, name in enumerate(COLUMNS)}
        return Series(self.interval, [number * self.interval for number in shown], columns)

    def first(self, until: int) -> int | None:
        """The oldest known point among the last `size` up to the `until`-th."""
        numbers = range(until - self.size + 1, until + 1)
        return next((number for number in numbers if self._holds_anything(number)), None)

    def mean(self, first: int, last: int) -> Point:
        """The mean of the known ones among these adjacent points."""
        begin, end = first % self.size, last % self.size + 1
        places = [at for at in range(begin, end) if first <= self._numbers[at] <= last]
        return [_mean([column[at] for at in places]) for column in self._columns]

    def parts(self) -> list[array[int] | array[float]]:
        """The data for a file."""
        return [self._numbers, *self._columns]

    def _holds_anything(self, number: int) -> bool:
        return self._numbers[number % self.size] == number and any(
            not isnan(column[number % self.size]) for column in self._columns
        )

    def _get(self, number: int, column: int) -> float | None:
        at = number % self.size
        if self._numbers[at] != number:
            return None
        value = self._columns[column][at]
        return None if isnan(value) else value


def _mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if not isnan(value)]
    return sum(known) / len(known) if known else None


class MetricsHistory:
    """What one machine has used, in a ring for each span."""

    def __init__(self) -> None:
        self._rings = {span: Ring(*how) for span, how in SPANS.items()}

    def put(self, number: int, values: Point) -> None:
        """Set the n-th point of the hour, and recompute those of longer spans that it belongs to."""
        (finer, *longer) = self._rings.values()
        finer.put(number, values)
        for ring in longer:
            each = ring.interval // finer.interval
            coarse = number // each
            ring.put(coarse, finer.mean(coarse * each, number))
            finer, number = ring, coarse

    def series(self, span: str, now: int) -> Series:
        """Up to the point that contains `now`, in Unix seconds."""
        ring = self._rings[span]
        return ring.series(now // ring.interval)

    def spans(self, now: int) -> list[str]:
        """The spans that show more than the previous one, and always the hour."""
        found: list[str] = []
        before = 0
        for span, ring in self._rings.items():
            first = ring.first(now // ring.interval)
            if not found or (first is not None and (first + 1) * ring.interval <= now - before):
                found.append(span)
            before = ring.interval * ring.size
        return found

    def packed(self) -> bytes:
        """The content of a file; `unpacked` reads it."""
        return HEAD + b"".join(part.tobytes() for ring in self._rings.values() for part in ring.parts())


HEAD = f"velocity metrics 1 {sys.byteorder} {len(COLUMNS)}\n".encode()


def unpacked(data: bytes) -> MetricsHistory:
    """What was packed. Truncated or unknown content counts as not measured."""
    past = MetricsHistory()
    at = len(HEAD)
    if not data.startswith(HEAD) or len(data) != PACKED:
        return past
    for ring in past._rings.values():
        for part in ring.parts():
            length = len(part) * part.itemsize
            part[:] = array(part.typecode, data[at : at + length])
            at += length
    return past


PACKED = len(MetricsHistory().packed())
"""The size of a machine's file in bytes."""
