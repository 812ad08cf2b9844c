"""Rates and rings: what is kept, for how long, and where the gaps are."""

from __future__ import annotations

import pytest

from velocity.hypervisor.port import Traffic, Usage
from velocity.metrics.rules import COLUMNS, HEAD, PACKED, SPANS, MetricsHistory, Point, Ring, point, unpacked

BEFORE = Usage(cpu=10.0, memory=64 << 20, disk_read=1000, disk_written=2000, net=Traffic(100, 200))


def full(value: float) -> Point:
    return (value,) * len(COLUMNS)


def test_a_point_holds_rates_of_the_time_in_between() -> None:
    after = Usage(cpu=25.0, memory=65 << 20, disk_read=2000, disk_written=2000, net=Traffic(1100, 2200))
    assert point(BEFORE, after, 10) == (150.0, 65.0, 100.0, 0.0, 100.0, 200.0)
    assert point(BEFORE, after, 20)[0] == 75.0, "over the time that has passed, not the one that should have"


def test_without_an_earlier_measurement_only_the_memory_is_known() -> None:
    assert point(None, BEFORE, 10) == (None, 64.0, None, None, None, None)
    assert point(BEFORE, BEFORE, 0) == (None, 64.0, None, None, None, None)


def test_a_counter_that_began_anew_says_nothing() -> None:
    after = Usage(cpu=11.0, memory=1 << 20, disk_read=0, disk_written=2010, net=None)
    assert point(BEFORE, after, 10) == (10.0, 1.0, None, 1.0, None, None)


@pytest.mark.holds("METRIC-3")
def test_a_ring_has_no_holes_in_time_and_gaps_in_its_values() -> None:
    ring = Ring(10, 360)
    assert ring.series(1000).at == []
    for number in (100, 101, 104):
        ring.put(number, full(number))
    series = ring.series(106)
    assert series.at == [1000, 1010, 1020, 1030, 1040, 1050, 1060]
    assert series.columns["cpu"] == [100, 101, None, None, 104, None, None]
    assert ring.series(103).columns["net_sent"] == [100, 101, None, None]


def test_a_ring_keeps_so_many_and_no_more() -> None:
    ring = Ring(10, 5)
    for number in range(100, 112):
        ring.put(number, full(number))
    assert ring.series(111).columns["cpu"] == [107, 108, 109, 110, 111]
    assert ring.series(113).columns["cpu"] == [109, 110, 111, None, None]
    assert ring.series(200).at == [], "what is older than the span is not shown"
    ring.put(200, full(1))
    assert ring.series(200).columns["cpu"] == [1], "and does not come back a round later"
    ring.put(203, full(2))
    assert ring.series(203).columns["cpu"] == [1, None, None, 2]


def test_the_same_point_twice_is_the_later_one() -> None:
    ring = Ring(10, 5)
    ring.put(100, full(1))
    ring.put(100, full(2))
    assert ring.series(100).columns["cpu"] == [2]


@pytest.mark.parametrize("back", [1, 1000])
def test_a_clock_that_is_wrong_for_a_while_costs_only_what_it_touched(back: int) -> None:
    ring = Ring(10, 5)
    for number in range(2000, 2004):
        ring.put(number, full(1))
    ring.put(2003 - back, full(2))
    assert ring.series(2003 - back).columns["cpu"] == ([1, 1, 2] if back == 1 else [2])
    assert ring.series(2003).columns["cpu"] == ([1, 1, 2, 1] if back == 1 else [1, 1, 1, None])


def test_the_day_holds_means_of_two_minutes() -> None:
    past = MetricsHistory()
    for number in range(1200, 1224):
        if number != 1201:
            past.put(number, (float(number % 12), 10.0, None, None, None, None))
    day = past.series("day", 101 * 120)
    assert (day.interval, day.at) == (120, [12000, 12120])
    assert day.columns["cpu"] == pytest.approx([65 / 11, 66 / 12]), "of what was measured: a gap is no nought"
    assert day.columns["memory_mib"] == [10, 10]
    assert day.columns["disk_read"] == [None, None]
    past.put(1236, (4.0, 10.0, None, None, None, None))
    assert past.series("day", 103 * 120).columns["cpu"][2:] == [None, 4], "two minutes without a measurement are a gap"


def test_a_first_point_and_one_after_a_long_gap_touch_nothing_else() -> None:
    """All VMs that run are measured at the same moment, in the loop."""
    ring = Ring(10, 360)
    values = tuple(range(len(COLUMNS)))
    for number in (175_000_000, 176_000_000, 100):
        before = [part.tobytes() for part in ring.parts()]
        ring.put(number, values)
        for old, new in zip(before, (part.tobytes() for part in ring.parts()), strict=True):
            assert len({at // 4 for at in range(len(old)) if old[at] != new[at]}) <= 1
        assert ring.series(number).at == [number * 10]


START = 1_700_006_400
"""A midnight."""


def measured(hours: float, value: float = 10.0) -> tuple[MetricsHistory, int]:
    """So many hours of the same, each ten seconds, and the moment after them."""
    past, end = MetricsHistory(), START + round(hours * 3600)
    for number in range(START // 10, end // 10):
        past.put(number, full(value))
    return past, end - 1


@pytest.mark.holds("METRIC-15")
def test_each_longer_span_holds_means_of_the_one_before() -> None:
    past, end = MetricsHistory(), START + 7200
    for number in range(START // 10, end // 10):
        past.put(number, full(float(number % 12)))
    for span, (interval, _) in SPANS.items():
        series = past.series(span, end - 1)
        assert series.interval == interval
        assert series.at[-1] == (end - 1) // interval * interval
        if span != "hour":
            assert series.columns["cpu"] == pytest.approx([5.5] * len(series.at)), span
    assert [len(past.series(span, end - 1).at) for span in SPANS] == [360, 60, 6, 1, 1]


def test_a_span_is_named_once_it_shows_more_than_the_one_before_it() -> None:
    for hours, spans in ((0.5, 1), (1.2, 2), (23, 2), (24.5, 3)):
        past, now = measured(hours)
        assert past.spans(now) == list(SPANS)[:spans], hours
    assert MetricsHistory().spans(START) == ["hour"]
    past, now = measured(0.5)
    assert past.spans(now + 8 * 86_400) == ["hour", "month"], "what is known is a week old: neither day nor week has it"


@pytest.mark.holds("METRIC-16")
def test_what_is_packed_has_one_size_and_comes_back_whole_or_not_at_all() -> None:
    past, now = measured(1.5)
    past.put(now // 10, (None, 3.5, None, 0.0, None, None))
    data = past.packed()
    assert len(data) == PACKED == len(MetricsHistory().packed()) < 70_000
    again = unpacked(data)
    assert [again.series(span, now) for span in SPANS] == [past.series(span, now) for span in SPANS]
    for wrong in (b"", data[:-1], data + b"x", b"another" + data, bytes(PACKED), HEAD + bytes(PACKED - len(HEAD))):
        assert unpacked(wrong).series("hour", now).at == [], wrong[:20]
