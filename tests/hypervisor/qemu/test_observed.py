"""Events and answers of a monitor as facts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.ports.subjects import machine
from velocity.hypervisor.port import Changed, Fact, Why
from velocity.hypervisor.qemu.observed import STATUS, Observed

WHO = machine()


@pytest.fixture
def told() -> list[Changed]:
    return []


@pytest.fixture
def observed(told: list[Changed]) -> Observed:
    def tell(fact: Fact, why: Why, detail: str) -> Changed:
        told.append(Changed(WHO, fact, why, detail, len(told) + 1))
        return told[-1]

    return Observed(tell)


FULL = {"action": "stop", "nospace": True, "reason": "No space left on device"}
CAUSES: list[tuple[Callable[[Observed], None], Why]] = [
    (lambda one: one.hear("BLOCK_IO_ERROR", FULL), Why.DISK_FULL),
    (lambda one: one.hear("BLOCK_IO_ERROR", {"action": "stop"}), Why.DISK_ERROR),
    (lambda one: one.hear("BLOCK_IO_ERROR", {"action": "report"}), Why.UNKNOWN),
    (lambda one: one.hear("GUEST_PANICKED", {"action": "pause"}), Why.GUEST_PANICKED),
    (lambda one: setattr(one, "pausing", True), Why.ASKED),
    (lambda one: None, Why.UNKNOWN),
]


@pytest.mark.parametrize(("cause", "why"), CAUSES)
def test_a_stop_is_told_with_its_cause(
    observed: Observed, told: list[Changed], cause: Callable[[Observed], None], why: Why
) -> None:
    observed.hear("RESUME", {})
    cause(observed)
    observed.hear("STOP", {})
    assert [(one.fact, one.why) for one in told] == [(Fact.RUNNING, Why.ASKED), (Fact.PAUSED, why)]
    assert observed.why_is_open == (why is Why.UNKNOWN)
    observed.hear("RESUME", {})
    observed.pausing = True
    observed.hear("STOP", {})
    assert told[-1].why is Why.ASKED, "a cause is told once"


def test_a_cause_that_was_told_is_not_overwritten_by_an_answer_of_the_same_state(
    observed: Observed, told: list[Changed]
) -> None:
    observed.hear("BLOCK_IO_ERROR", FULL)
    observed.hear("STOP", {})
    for status in ("paused", "io-error"):
        last = observed.answer(observed.last, *STATUS[status])
        assert (last.why, last.detail) == (Why.DISK_FULL, "No space left on device")
    assert len(told) == 1


def test_a_cause_that_no_event_told_is_told_by_the_answer(observed: Observed, told: list[Changed]) -> None:
    observed.hear("RESUME", {})
    observed.hear("STOP", {})
    observed.answer(observed.last, *STATUS["internal-error"])
    assert [one.why for one in told] == [Why.ASKED, Why.UNKNOWN, Why.INTERNAL_ERROR]


def test_an_answer_is_older_than_what_was_told_while_it_came(observed: Observed, told: list[Changed]) -> None:
    observed.hear("RESUME", {})
    before = observed.last
    observed.pausing = True
    observed.hear("STOP", {})
    assert observed.answer(before, *STATUS["running"]).fact is Fact.PAUSED
    assert observed.answer(observed.last, *STATUS["running"]).fact is Fact.RUNNING, "its monitor had been lost"


def test_a_reset_and_sleep_are_told_and_the_guest_runs(observed: Observed, told: list[Changed]) -> None:
    observed.hear("RESET", {"guest": False})
    observed.hear("RESET", {"guest": True})
    assert observed.last is not None
    assert observed.last.why is Why.ASKED, "it happened once"
    for event in ("SUSPEND", "WAKEUP"):
        observed.hear(event, {})
    assert [(one.fact, one.why) for one in told] == [
        (Fact.RUNNING, Why.GUEST_RESET),
        (Fact.RUNNING, Why.ASKED),
        (Fact.RUNNING, Why.ASKED),
    ]


def test_every_end_of_silence_is_told(observed: Observed, told: list[Changed]) -> None:
    observed.hear("RESUME", {})
    observed.note(Fact.SILENT, Why.UNKNOWN, "its monitor does not answer")
    observed.answer(observed.last, *STATUS["running"])
    assert [one.fact for one in told] == [Fact.RUNNING, Fact.SILENT, Fact.RUNNING]
