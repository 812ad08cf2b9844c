"""A clock is believed when it has run evenly for an hour."""

from __future__ import annotations

import pytest

from velocity.steady_clock import SteadyClock

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
