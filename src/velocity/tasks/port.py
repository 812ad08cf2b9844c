"""What tasks need of the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from velocity.tasks.rules import Task


class TaskStore(Protocol):
    """Each call is one transaction; what returns is durable. A tid is never given twice."""

    def load(self) -> Sequence[Task]: ...

    async def add(self, draft: Task, forget_before: int) -> int:
        """Its tid; tasks that ended before `forget_before` are forgotten."""

    async def end(self, task: Task) -> None:
        """Keep how it ended."""
