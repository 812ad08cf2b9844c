"""The values of tasks."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from velocity.contract.tasks import TaskState

KEPT = 24 * 3600
"""Seconds for which an ended task is kept."""
EMPTY = "empty"
"""The kind of task that empties the trash; most others create a medium or a VM."""
DRAIN = "drain"
"""The kind of task that is named after the host whose VMs it moves away."""
MOVING = frozenset({"move_vm", DRAIN})
"""The kinds that move VMs to other hosts."""
CHANGING = frozenset({"move", "convert", "compact"})
"""The kinds that change a medium; the rest create one."""


@dataclass(frozen=True)
class Task:
    """A task, running or ended. `done` and `total` are in `unit`; times are in Unix seconds.

    `done_bytes` and `total_bytes` are known only while it runs, if the unit is another one.
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
    """The message of a task that the end of the server has interrupted."""
    if kind in CHANGING:
        return "interrupted by a restart of the server; the medium is as it was: start it again"
    if kind in MOVING:
        return "interrupted by a restart of the server: each VM says on which host it is; start it again for the others"
    if kind == EMPTY:
        return "interrupted by a restart of the server: start it again for what is left"
    return "interrupted by a restart of the server; nothing was kept: start it again"
