"""Routes 23 and 24: tasks."""

from __future__ import annotations

import enum
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.fields import Gid, UnixTime, Vmid
from velocity.contract.operation import Change, Failure, Holds, Method, On, Operation, Paged, Wire
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem

Tid = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1, description="the id of a task")]


class TaskState(enum.Enum):
    """A task is RUNNING until it ends as one of the other three states."""

    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class TaskInfo(Wire, frozen=True):
    tid: Tid
    kind: Annotated[
        str,
        Meta(
            description="fetch, import, clone, clone_vm, move, convert, compact, move_vm (to a host), drain (a host) "
            "or empty (the trash)"
        ),
    ]
    uid: Annotated[int, Meta(description="the user who started it")]
    gid: Gid
    name: Annotated[
        str,
        Meta(
            description="the name of the medium or VM that it makes or changes, or of the host; `trash` of kind `empty`"
        ),
    ]
    state: TaskState
    done: Annotated[int, Meta(description="the progress so far, in its unit")]
    total: Annotated[int, Meta(description="the total, in its unit; 0: not known")]
    unit: Annotated[str, Meta(description="bytes; items of kind `empty`, VMs of kind `drain`")]
    begun: UnixTime
    ended: UnixTime | UnsetType = UNSET
    message: (
        Annotated[
            str,
            Meta(description="why it failed; of kinds `empty` and `drain`, what was done, and what was not and why"),
        ]
        | UnsetType
    ) = UNSET
    mid: Annotated[UUID, Meta(description="the medium that it made or changed")] | UnsetType = UNSET
    vmid: Annotated[Vmid, Meta(description="the VM that it made or moved")] | UnsetType = UNSET
    done_bytes: Annotated[int, Meta(description="the progress in bytes, while it runs")] | UnsetType = UNSET
    """If the unit is not bytes."""
    phase: (
        Annotated[
            str,
            Meta(
                description="while it runs: of kind `move_vm` copying media, disks, memory or handing over; of any "
                "kind which host it waits for, as that does not respond"
            ),
        ]
        | UnsetType
    ) = UNSET
    total_bytes: Annotated[int, Meta(description="the total in bytes, while it runs")] | UnsetType = UNSET


class TaskRequest(Wire, frozen=True):
    tid: Tid


class CancelTask(Change, frozen=True):
    tid: Tid


class ListTasks(Paged[Tid], frozen=True):
    gid: Gid


class Tasks(Wire, frozen=True):
    tasks: list[TaskInfo]


class TaskStarted(Wire, frozen=True):
    tid: Tid


SHOW = Operation(
    name="show_task",
    summary="Show a task and how far it has come",
    method=Method.POST,
    path="/t/task",
    route=23,
    request=TaskRequest,
    response=TaskInfo,
    needs=Holds(Permission.MEDIA_LIST, On.TASK, own=True),
    failures=(
        Failure(
            23100, 403, Problem.NO_PERMISSION, "velocity.media.list is needed on the task's group, or to have begun it"
        ),
        Failure(23110, 404, Problem.TASK_NOT_FOUND, "no such task"),
    ),
    ours=True,
)

CANCEL = Operation(
    name="cancel_task",
    summary="Cancel a task and remove what it has made so far; a task that has ended stays as it is",
    method=Method.DELETE,
    path="/t/task",
    route=23,
    request=CancelTask,
    response=TaskInfo,
    needs=Holds(Permission.MEDIA_CREATE, On.TASK, own=True),
    failures=(
        Failure(
            23300,
            403,
            Problem.NO_PERMISSION,
            "velocity.media.create is needed on the task's group, or to have begun it",
        ),
        Failure(23310, 404, Problem.TASK_NOT_FOUND, "no such task"),
    ),
    ours=True,
)

LIST = Operation(
    name="list_tasks",
    summary="List the tasks of a group, newest first; ended tasks are kept for a day",
    method=Method.POST,
    path="/t/task/list",
    route=24,
    request=ListTasks,
    response=Tasks,
    lists={"tasks": "tid"},
    needs=Holds(Permission.MEDIA_LIST, On.GROUP),
    failures=(
        Failure(24100, 403, Problem.NO_PERMISSION, "velocity.media.list is needed on the group"),
        Failure(24110, 404, Problem.GROUP_NOT_FOUND, "no such group"),
    ),
    ours=True,
)

OPERATIONS = (SHOW, CANCEL, LIST)
