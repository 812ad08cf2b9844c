"""What tasks need of the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from velocity.tasks.rules import Task


class TaskStore(Protocol):
    """Each call is one transaction, durable when it returns. Tids are never reused."""

    def load(self) -> Sequence[Task]: ...

    async def add(self, draft: Task, forget_before: int) -> int:
        """Add a task, and forget those that ended before `forget_before`; returns the tid."""

    async def end(self, task: Task) -> None:
        """Store how it ended."""
