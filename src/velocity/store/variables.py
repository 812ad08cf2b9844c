"""The queries about copies of firmware variables."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import Connection, delete, insert, select

from velocity.machines.hosts.kept_variables import KeptCopy, Mark
from velocity.store.database import Database
from velocity.store.tables import firmware_variables

_of = firmware_variables.c.machine


class SqlVariables:
    """Implements `velocity.machines.hosts.kept_variables.VariablesStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self, known: Collection[str]) -> Mapping[UUID, KeptCopy]:
        def work(connection: Connection) -> Mapping[UUID, KeptCopy]:
            table = firmware_variables.c
            rows = connection.execute(select(table.machine, table.modified, table.size, table.at)).all()
            if known:
                for row in rows:
                    if row.machine not in known:
                        connection.execute(delete(firmware_variables).where(_of == row.machine))
            return {
                UUID(row.machine): KeptCopy(Mark(row.modified, row.size), row.at)
                for row in rows
                if not known or row.machine in known
            }

        return self._database.read(work)

    async def keep(self, machine: UUID, kept: KeptCopy, data: bytes) -> None:
        row = {"machine": str(machine), "modified": kept.mark.modified, "size": kept.mark.size, "at": int(kept.at)}

        def work(connection: Connection) -> None:
            connection.execute(delete(firmware_variables).where(_of == str(machine)))
            connection.execute(insert(firmware_variables).values(data=data, **row))

        await self._database.aside(work)

    async def read(self, machine: UUID) -> bytes:
        found = select(firmware_variables.c.data).where(_of == str(machine))
        return await self._database.look(lambda connection: connection.scalar(found) or b"")

    async def forget(self, machine: UUID) -> None:
        gone = delete(firmware_variables).where(_of == str(machine))
        await self._database.aside(lambda connection: connection.execute(gone) and None)
