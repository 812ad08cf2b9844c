"""Announces changes: areas announce them in the step in which they become visible, to one listener."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

ChangeKind = Literal[
    "vm", "medium", "task", "group", "user", "rights", "limits", "quota", "assignment", "pool", "trash", "history",
    "session", "host",
]  # fmt: skip
"""`rights`: a user's own grants; `limits`, `assignment`: what was set; `quota`, `pool`: what is in use of them."""
ChangeListener = Callable[[ChangeKind, object, int], None]


class Changes:
    """Passes announcements on. They do not contain the new state: the listener asks the area."""

    def __init__(self) -> None:
        self._watcher: ChangeListener | None = None

    def set_listener(self, watcher: ChangeListener) -> None:
        """`watcher` is called at once, with what has changed, its id, and its group."""
        self._watcher = watcher

    def note_change(self, what: ChangeKind, id: object, gid: int = 0) -> None:
        if self._watcher is not None:
            self._watcher(what, id, gid)
