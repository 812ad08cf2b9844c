"""What a task is: frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from velocity.contract.tasks import TaskState

KEPT = 24 * 3600
"""Seconds for which a task that has ended is kept."""
EMPTY = "empty"
"""The kind of what empties the trash; the others make a medium, or a VM."""
MOVING = frozenset({"move_vm", "drain"})
"""Those that bring VMs to other hosts."""
CHANGING = frozenset({"move", "convert", "compact"})
"""But for these, which change one."""


@dataclass(frozen=True)
class Task:
    """Work under way, or its end. `done` and `total` are in `unit`; times in unix seconds.

    What it has done in bytes too, where that is not its unit, is known while it runs.
    """

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
    vmid: int | None = None
    done_bytes: int | None = None
    total_bytes: int | None = None
    phase: str | None = None


def interrupted(kind: str) -> str:
    """Why it failed, of a task that a restart of the server has ended."""
    if kind in CHANGING:
        return "interrupted by a restart of the server; the medium is as it was: start it again"
    if kind in MOVING:
        return "interrupted by a restart of the server: each VM says on which host it is; start it again for the others"
    if kind == EMPTY:
        return "interrupted by a restart of the server: start it again for what is left"
    return "interrupted by a restart of the server; nothing was kept: start it again"
