"""Announcements of changes: an area makes them in the step in which a change is visible; one listener may watch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

ChangeKind = Literal[
    "vm", "medium", "task", "group", "user", "rights", "limits", "quota", "assignment", "pool", "trash", "history",
    "session", "host",
]  # fmt: skip
"""`rights` are a user's own grants, `limits` and `assignment` what was set, `quota` and `pool` what is used of it."""
ChangeListener = Callable[[ChangeKind, object, int], None]


class Changes:
    """Where areas tell. Nothing is said of how it is now: whoever watches looks at the area itself."""

    def __init__(self) -> None:
        self._watcher: ChangeListener | None = None

    def set_listener(self, watcher: ChangeListener) -> None:
        """Tell who is to hear, in the very step: what changed, its id, and the group that it is of."""
        self._watcher = watcher

    def note_change(self, what: ChangeKind, id: object, gid: int = 0) -> None:
        if self._watcher is not None:
            self._watcher(what, id, gid)
