"""The queries of tasks."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, insert, select, update

from velocity.contract.tasks import TaskState
from velocity.store.database import Database
from velocity.store.tables import tasks
from velocity.tasks.rules import Task


class SqlTasks:
    """Implements `velocity.tasks.port.TaskStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self) -> list[Task]:
        def work(connection: Connection) -> list[Task]:
            return [
                Task(
                    **{
                        **row._mapping,
                        "state": TaskState(row.state),
                        "mid": None if row.mid is None else UUID(row.mid),
                    }
                )
                for row in connection.execute(select(tasks))
            ]

        return self._database.read(work)

    async def add(self, draft: Task, forget_before: int) -> int:
        def work(connection: Connection) -> int:
            connection.execute(delete(tasks).where(tasks.c.ended < forget_before))
            return int(connection.execute(insert(tasks).values(_row(draft)).returning(tasks.c.tid)).scalar_one())

        return await self._database.write(work)

    async def end(self, task: Task) -> None:
        statement = update(tasks).where(tasks.c.tid == task.tid).values(_row(task))
        await self._database.write(lambda connection: connection.execute(statement) and None)


def _row(task: Task) -> dict[str, Any]:
    return {
        "kind": task.kind,
        "uid": task.uid,
        "gid": task.gid,
        "name": task.name,
        "unit": task.unit,
        "begun": task.begun,
        "state": task.state.value,
        "done": task.done,
        "total": task.total,
        "ended": task.ended,
        "message": task.message,
        "mid": None if task.mid is None else str(task.mid),
        "vmid": task.vmid,
    }
