"""Changes that are not reported yet: in order, each object once, and some objects with limited frequency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

from velocity.changes import ChangeKind

Key = tuple[ChangeKind, object]
"""The kind of an object, and its id."""


class PendingChanges:
    """`pace`: by kind, the least number of seconds between two reports of the same object."""

    def __init__(self, pace: Mapping[ChangeKind, float]) -> None:
        self._pace = pace
        self._lines: dict[Key, Sequence[int]] = {}
        self._told: dict[Key, float] = {}

    def add_change(self, key: Key, line: Sequence[int]) -> None:
        """It has changed.

        `line` is its group and those above at present: the group may be deleted before it is reported.
        """
        self._lines.setdefault(key, line)

    def due(self, now: float, most: int | None = None) -> list[tuple[Key, Sequence[int]]]:
        """Take at most `most` changes that may be reported now, in order; `now` in seconds of any clock."""
        self._told = {key: told for key, told in self._told.items() if told + self._pace[key[0]] > now}
        due = list(islice(((key, line) for key, line in self._lines.items() if key not in self._told), most))
        for key, _ in due:
            del self._lines[key]
            if key[0] in self._pace:
                self._told[key] = now
        return due

    def next(self) -> float | None:
        """When the next change may be reported; None: none is waiting."""
        return min((self._told[key] + self._pace[key[0]] for key in self._lines if key in self._told), default=None)
