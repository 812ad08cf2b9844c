"""What a task is: frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from velocity.contract.tasks import TaskState

KEPT = 24 * 3600
"""Seconds for which a task that has ended is kept."""


@dataclass(frozen=True)
class Task:
    """Work under way, or its end. `done` and `total` are in `unit`; times in unix seconds."""

    tid: int
    kind: str
    uid: int
    gid: int
    name: str
    unit: str
    begun: int
    state: TaskState = TaskState.RUNNING
    done: int = 0
    total: int = 0
    ended: int | None = None
    message: str | None = None
    mid: UUID | None = None
