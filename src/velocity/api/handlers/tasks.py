"""Tasks: show, cancel and list them."""

from velocity.api.handlers.base import Call, handles
from velocity.contract import tasks
from velocity.events import views


@handles(tasks.SHOW)
async def show(call: Call[tasks.TaskRequest]) -> tasks.TaskInfo:
    return views.task(call.services.tasks.get(call.request.tid))


@handles(tasks.CANCEL)
async def cancel(call: Call[tasks.CancelTask]) -> tasks.TaskInfo:
    return views.task(await call.services.tasks.cancel(call.request.tid))


@handles(tasks.LIST)
async def list_tasks(call: Call[tasks.ListTasks]) -> tasks.Tasks:
    found = call.request.page(call.services.tasks.of_group(call.request.gid), key=lambda task: task.tid)
    return tasks.Tasks(tasks=[views.task(task) for task in found])
