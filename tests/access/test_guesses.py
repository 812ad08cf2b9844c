"""Guesses are limited by name and address, and lock nobody out."""

from __future__ import annotations

import pytest

from velocity.access.throttle import ADDRESS, MOST, NAME, PAIR, PasswordThrottle, network
from velocity.contract.problems import Problem, Refused


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def wrong(guesses: PasswordThrottle, name: str, address: str) -> bool:
    """Whether a wrong guess was taken at all."""
    try:
        with guesses.attempt(name, address):
            return True
    except Refused as refused:
        if refused.problem is not Problem.TOO_MANY_ATTEMPTS:
            raise
        return False


def right(guesses: PasswordThrottle, name: str, address: str) -> None:
    with guesses.attempt(name, address) as success:
        success()


def test_one_name_from_one_address() -> None:
    clock = Clock()
    guesses = PasswordThrottle(clock)
    assert sum(wrong(guesses, "bob", "192.0.2.1") for _ in range(50)) == PAIR.burst
    clock.now += PAIR.seconds
    assert [wrong(guesses, "bob", "192.0.2.1") for _ in range(2)] == [True, False], "one more after its time"


def test_all_names_from_one_address() -> None:
    guesses = PasswordThrottle(Clock())
    assert sum(wrong(guesses, f"user {number}", "192.0.2.1") for number in range(200)) == ADDRESS.burst
    assert wrong(guesses, "bob", "192.0.2.2"), "other addresses are not touched"


@pytest.mark.holds("TEAM-9")
def test_strangers_do_not_lock_a_user_out() -> None:
    guesses = PasswordThrottle(Clock())
    right(guesses, "bob", "192.0.2.1")
    taken = sum(wrong(guesses, "bob", f"198.51.100.{number}") for number in range(250))
    assert taken == NAME.burst, "many addresses together get no more than this"
    for _ in range(20):
        right(guesses, "bob", "192.0.2.1")
    with pytest.raises(Refused):
        right(guesses, "bob", "203.0.113.1")


@pytest.mark.holds("TEAM-9")
def test_a_user_of_many_addresses_takes_nobody_elses_good_one() -> None:
    guesses = PasswordThrottle(Clock())
    right(guesses, "bob", "192.0.2.1")
    for number in range(MOST + 100):
        right(guesses, "greedy", f"address {number}")
    for number in range(NAME.burst):
        wrong(guesses, "bob", f"198.51.100.{number}")
    right(guesses, "bob", "192.0.2.1")


def test_right_ones_cost_nothing() -> None:
    guesses = PasswordThrottle(Clock())
    for _ in range(1000):
        right(guesses, "bob", "192.0.2.1")
    assert sum(wrong(guesses, "bob", "192.0.2.1") for _ in range(50)) == PAIR.burst


def test_an_ipv6_network_counts_as_one() -> None:
    assert network("2001:db8::1") == network("2001:db8::ffff:1")
    assert network("2001:db8:0:1::1") != network("2001:db8::1")
    assert network("local") == "local"


def test_an_address_of_ipv4_is_one_also_to_a_listener_for_both_versions() -> None:
    assert network("::ffff:192.0.2.1") == network("192.0.2.1") != network("::ffff:192.0.2.2")


def test_memory_is_bounded() -> None:
    guesses = PasswordThrottle(Clock())
    for number in range(MOST + 100):
        wrong(guesses, f"user {number}", f"address {number}")
    assert len(guesses) <= MOST
