"""Routes 23 and 24."""

from msgspec import UNSET

from velocity.api.handlers.base import Call, handles
from velocity.contract import tasks
from velocity.tasks.rules import Task


@handles(tasks.SHOW)
async def show(call: Call[tasks.TaskRequest]) -> tasks.TaskInfo:
    return _info(call.services.tasks.get(call.request.tid))


@handles(tasks.CANCEL)
async def cancel(call: Call[tasks.CancelTask]) -> tasks.TaskInfo:
    return _info(await call.services.tasks.cancel(call.request.tid))


@handles(tasks.LIST)
async def list_tasks(call: Call[tasks.ListTasks]) -> tasks.Tasks:
    return tasks.Tasks(tasks=[_info(task) for task in call.services.tasks.of_group(call.request.gid)])


def _info(task: Task) -> tasks.TaskInfo:
    return tasks.TaskInfo(
        tid=task.tid,
        kind=task.kind,
        uid=task.uid,
        gid=task.gid,
        name=task.name,
        state=task.state,
        done=task.done,
        total=task.total,
        unit=task.unit,
        begun=task.begun,
        ended=UNSET if task.ended is None else task.ended,
        message=UNSET if task.message is None else task.message,
        mid=UNSET if task.mid is None else task.mid,
    )
