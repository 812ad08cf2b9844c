"""Events and answers of a monitor as facts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.ports.subjects import machine
from velocity.hypervisor.port import Fact, FactCause, FactReport
from velocity.hypervisor.qemu.event_interpreter import STATUS, EventInterpreter

WHO = machine()


@pytest.fixture
def told() -> list[FactReport]:
    return []


@pytest.fixture
def observed(told: list[FactReport]) -> EventInterpreter:
    def tell(fact: Fact, why: FactCause, detail: str) -> FactReport:
        told.append(FactReport(WHO, fact, why, detail, len(told) + 1))
        return told[-1]

    return EventInterpreter(tell)


FULL = {"action": "stop", "nospace": True, "reason": "No space left on device"}
CAUSES: list[tuple[Callable[[EventInterpreter], None], FactCause]] = [
    (lambda one: one.on_qmp_event("BLOCK_IO_ERROR", FULL), FactCause.DISK_FULL),
    (lambda one: one.on_qmp_event("BLOCK_IO_ERROR", {"action": "stop"}), FactCause.DISK_ERROR),
    (lambda one: one.on_qmp_event("BLOCK_IO_ERROR", {"action": "report"}), FactCause.UNKNOWN),
    (lambda one: one.on_qmp_event("GUEST_PANICKED", {"action": "pause"}), FactCause.GUEST_PANICKED),
    (lambda one: setattr(one, "pausing", True), FactCause.ASKED),
    (lambda one: None, FactCause.UNKNOWN),
]


@pytest.mark.parametrize(("cause", "why"), CAUSES)
def test_a_stop_is_told_with_its_cause(
    observed: EventInterpreter, told: list[FactReport], cause: Callable[[EventInterpreter], None], why: FactCause
) -> None:
    observed.on_qmp_event("RESUME", {})
    cause(observed)
    observed.on_qmp_event("STOP", {})
    assert [(one.fact, one.why) for one in told] == [(Fact.RUNNING, FactCause.ASKED), (Fact.PAUSED, why)]
    assert observed.why_is_open == (why is FactCause.UNKNOWN)
    observed.on_qmp_event("RESUME", {})
    observed.pausing = True
    observed.on_qmp_event("STOP", {})
    assert told[-1].why is FactCause.ASKED, "a cause is told once"


def test_a_cause_that_was_told_is_not_overwritten_by_an_answer_of_the_same_state(
    observed: EventInterpreter, told: list[FactReport]
) -> None:
    observed.on_qmp_event("BLOCK_IO_ERROR", FULL)
    observed.on_qmp_event("STOP", {})
    for status in ("paused", "io-error"):
        last = observed.on_query_answer(observed.last, *STATUS[status])
        assert (last.why, last.detail) == (FactCause.DISK_FULL, "No space left on device")
    assert len(told) == 1


def test_a_cause_that_no_event_told_is_told_by_the_answer(observed: EventInterpreter, told: list[FactReport]) -> None:
    observed.on_qmp_event("RESUME", {})
    observed.on_qmp_event("STOP", {})
    observed.on_query_answer(observed.last, *STATUS["internal-error"])
    assert [one.why for one in told] == [FactCause.ASKED, FactCause.UNKNOWN, FactCause.INTERNAL_ERROR]


def test_an_answer_is_older_than_what_was_told_while_it_came(
    observed: EventInterpreter, told: list[FactReport]
) -> None:
    observed.on_qmp_event("RESUME", {})
    before = observed.last
    observed.pausing = True
    observed.on_qmp_event("STOP", {})
    assert observed.on_query_answer(before, *STATUS["running"]).fact is Fact.PAUSED
    assert observed.on_query_answer(observed.last, *STATUS["running"]).fact is Fact.RUNNING, "its monitor had been lost"


def test_a_reset_and_sleep_are_told_and_the_guest_runs(observed: EventInterpreter, told: list[FactReport]) -> None:
    observed.on_qmp_event("RESET", {"guest": False})
    observed.on_qmp_event("RESET", {"guest": True})
    assert observed.last is not None
    assert observed.last.why is FactCause.ASKED, "it happened once"
    for event in ("SUSPEND", "WAKEUP"):
        observed.on_qmp_event(event, {})
    assert [(one.fact, one.why) for one in told] == [
        (Fact.RUNNING, FactCause.GUEST_RESET),
        (Fact.RUNNING, FactCause.ASKED),
        (Fact.RUNNING, FactCause.ASKED),
    ]


def test_every_end_of_silence_is_told(observed: EventInterpreter, told: list[FactReport]) -> None:
    observed.on_qmp_event("RESUME", {})
    observed.record_fact(Fact.SILENT, FactCause.UNKNOWN, "its monitor does not answer")
    observed.on_query_answer(observed.last, *STATUS["running"])
    assert [one.fact for one in told] == [Fact.RUNNING, Fact.SILENT, Fact.RUNNING]
