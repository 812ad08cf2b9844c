"""What waits to be told: each thing once, in order, and some not too often. The clock is the test's."""

from __future__ import annotations

from velocity.events.pending import Key, PendingChanges

VM: Key = ("vm", 1)
TASK: Key = ("task", 1)


def told(marks: PendingChanges, now: float) -> list[Key]:
    return [key for key, _ in marks.due(now)]


def test_each_once_and_in_order() -> None:
    marks = PendingChanges({})
    for key in (TASK, VM, TASK):
        marks.add_change(key, (1, 0))
    marks.add_change(VM, (0,))
    assert marks.due(0.0) == [(TASK, (1, 0)), (VM, (1, 0))], "its line is that of the first word: it may be gone since"
    assert marks.due(0.0) == []
    assert marks.next() is None


def test_so_many_a_second_and_the_last_word_is_told() -> None:
    marks = PendingChanges({"task": 0.25})
    times = []
    for step in range(1024):  # a progress each millisecond
        now = step / 1024
        marks.add_change(TASK, (0,))
        if told(marks, now):
            times.append(now)
    assert times == [0.0, 0.25, 0.5, 0.75]
    assert marks.next() == 1.0
    assert told(marks, 1023 / 1024) == []
    assert told(marks, 1.0) == [TASK]
    assert marks.next() is None


def test_one_does_not_hold_up_another() -> None:
    marks = PendingChanges({"task": 0.2})
    marks.add_change(TASK, (0,))
    assert told(marks, 0.0) == [TASK]
    for key in (TASK, VM, ("task", 2)):
        marks.add_change(key, (0,))
    assert told(marks, 0.1) == [VM, ("task", 2)]
    assert marks.next() == 0.2
