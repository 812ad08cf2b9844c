"""Changes that are not reported yet: in order, each object once, and some objects not too often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

from velocity.changes import ChangeKind

Key = tuple[ChangeKind, object]
"""What it is, and its id."""


class PendingChanges:
    """`pace` is for how many seconds after it was told a thing of that sort waits to be told again."""

    def __init__(self, pace: Mapping[ChangeKind, float]) -> None:
        self._pace = pace
        self._lines: dict[Key, Sequence[int]] = {}
        self._told: dict[Key, float] = {}

    def add_change(self, key: Key, line: Sequence[int]) -> None:
        """It has changed. `line` is its group and those above, as they are now: the group may go before it is told."""
        self._lines.setdefault(key, line)

    def due(self, now: float, most: int | None = None) -> list[tuple[Key, Sequence[int]]]:
        """Take what may be told now, `most` of it in the order of the marks; `now` in seconds of any clock."""
        self._told = {key: told for key, told in self._told.items() if told + self._pace[key[0]] > now}
        due = list(islice(((key, line) for key, line in self._lines.items() if key not in self._told), most))
        for key, _ in due:
            del self._lines[key]
            if key[0] in self._pace:
                self._told[key] = now
        return due

    def next(self) -> float | None:
        """When something may be told that was not due just now; None: nothing waits."""
        return min((self._told[key] + self._pace[key[0]] for key in self._lines if key in self._told), default=None)
