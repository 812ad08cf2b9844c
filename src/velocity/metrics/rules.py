"""How counters become rates, and the rings that keep them: pure."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan

from velocity.hypervisor.port import Usage

INTERVAL = 10
"""Seconds from one measurement to the next."""
COLUMNS = ("cpu", "memory_mib", "disk_read", "disk_written", "net_received", "net_sent")
"""What a point holds: percent of one core, MiB, then bytes a second."""

Point = Sequence[float | None]
"""A value for each column; None: not measured."""


def point(before: Usage | None, after: Usage, seconds: float) -> Point:
    """What was taken between two measurements of one run; without an earlier one, only what is so at this moment."""
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
    """A counter that has fallen began anew in between: nothing is known of that time."""
    return None if after < before else (after - before) / seconds


@dataclass(frozen=True)
class Series:
    """Times without a hole between them, and for each column as many values."""

    interval: int
    at: list[int]
    columns: dict[str, list[float | None]]


class Ring:
    """The last `size` points, one each `interval` seconds; the n-th since 1970 begins at n * interval."""

    def __init__(self, interval: int, size: int) -> None:
        self.interval = interval
        self.size = size
        self._columns = [array("f", [nan]) * size for _ in COLUMNS]
        self._newest = -1

    def put(self, number: int, values: Point) -> None:
        """Set the n-th point. One before the newest says that the host's clock was set back: all begins anew."""
        if not self._newest <= number < self._newest + self.size:
            self._columns = [array("f", [nan]) * self.size for _ in COLUMNS]
            self._newest = number - 1
        for skipped in range(self._newest + 1, number):
            self._set(skipped, (None,) * len(COLUMNS))
        self._set(number, values)
        self._newest = number

    def series(self, until: int) -> Series:
        """From the first point that holds anything to the `until`-th, at most `size`; none if none does."""
        numbers = range(until - self.size + 1, until + 1)
        first = next((number for number in numbers if self._holds_anything(number)), until + 1)
        shown = range(first, until + 1)
        columns = {name: [self._get(number, at) for number in shown] for at, name in enumerate(COLUMNS)}
        return Series(self.interval, [number * self.interval for number in shown], columns)

    def _set(self, number: int, values: Point) -> None:
        for column, value in zip(self._columns, values, strict=True):
            column[number % self.size] = nan if value is None else value

    def _holds_anything(self, number: int) -> bool:
        return any(self._get(number, column) is not None for column in range(len(COLUMNS)))

    def _get(self, number: int, column: int) -> float | None:
        if not self._newest - self.size < number <= self._newest:
            return None
        value = self._columns[column][number % self.size]
        return None if isnan(value) else value


class MetricsHistory:
    """One machine's hour, point by point, and its day, in means of two minutes."""

    def __init__(self) -> None:
        self.hour = Ring(INTERVAL, 360)
        self.day = Ring(120, 720)
        self._summing = -1
        self._sums = [(0.0, 0)] * len(COLUMNS)

    def put(self, number: int, values: Point) -> None:
        """Keep the n-th point of the hour."""
        self.hour.put(number, values)
        two_minutes = number * INTERVAL // self.day.interval
        if two_minutes != self._summing:
            self._summing, self._sums = two_minutes, [(0.0, 0)] * len(COLUMNS)
        self._sums = [
            (total, count) if value is None else (total + value, count + 1)
            for (total, count), value in zip(self._sums, values, strict=True)
        ]
        self.day.put(two_minutes, [total / count if count else None for total, count in self._sums])
