"""A clock is believed when it has run evenly for an hour."""

from __future__ import annotations

from pathlib import Path

import pytest

from velocity.steady_clock import BOOT, SteadyClock

YEAR = 365 * 86_400.0


class Time:
    def __init__(self) -> None:
        self.wall, self.passed = YEAR * 56, 10.0

    def go_on(self, seconds: float, jump: float = 0.0) -> None:
        self.passed += seconds
        self.wall += seconds + jump


@pytest.mark.parametrize("jump", [YEAR, -YEAR, 61.0, -61.0])
def test_it_is_steady_after_an_hour_and_an_hour_after_each_time_that_it_was_set(jump: float) -> None:
    time = Time()
    clock = SteadyClock(lambda: time.wall, lambda: time.passed)
    assert not clock.is_steady(), "it may be wrong from the beginning"
    for _ in range(59):
        time.go_on(60.0, jump=0.02)  # as it is kept right
        assert not clock.is_steady()
    time.go_on(60.0)
    assert clock.is_steady()
    time.go_on(60.0, jump)
    assert not clock.is_steady()
    time.go_on(3599.0)
    assert not clock.is_steady()
    time.go_on(1.0)
    assert clock.is_steady()


def test_a_host_that_was_suspended_has_set_no_clock() -> None:
    time = Time()
    clock = SteadyClock(lambda: time.wall, lambda: time.passed)
    time.go_on(YEAR)
    assert clock.is_steady()


@pytest.mark.holds("DUR-85")
def test_a_server_goes_on_with_what_the_one_before_has_seen_of_this_boot(tmp_path: Path) -> None:
    time, file = Time(), tmp_path / "clock.json"

    def clock() -> SteadyClock:
        return SteadyClock(lambda: time.wall, lambda: time.passed, file)

    for _ in range(12):
        assert not clock().is_steady(), "however often it is restarted"
        time.go_on(300.0)
    assert clock().is_steady()
    time.go_on(10.0, YEAR)
    assert not clock().is_steady(), "it was set while no server ran"
    time.go_on(3600.0)
    assert clock().is_steady()
    file.write_text(file.read_text().replace(BOOT.read_text().strip(), "another boot"))
    assert not clock().is_steady()
    time.go_on(3600.0)
    file.write_text("{")
    assert not clock().is_steady(), "what cannot be read says nothing"


def test_what_is_old_is_told_only_by_a_clock_that_is_believed() -> None:
    time = Time()
    clock = SteadyClock(lambda: time.wall, lambda: time.passed)
    assert clock.ago(60.0) == 0
    time.go_on(3600.0)
    assert clock.ago(60.0) == int(time.wall - 60.0)
