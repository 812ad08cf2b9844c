"""The queries of the history."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, delete, func, insert, select

from velocity.history.rules import Entry
from velocity.store.database import Database
from velocity.store.tables import history

_add = insert(history)


class SqlHistory:
    """Keeps `velocity.history.port.HistoryStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, entries: Sequence[Entry]) -> None:
        rows = [vars(entry) for entry in entries]
        await self._database.aside(lambda connection: connection.execute(_add, rows) and None)

    async def newest(
        self,
        gids: Collection[int] | None,
        before: int | None,
        limit: int,
        uid: int | None,
        refused: bool | None,
        vmid: int | None,
    ) -> list[tuple[int, Entry]]:
        wanted = select(history).order_by(history.c.hid.desc()).limit(limit)
        if gids is not None:
            wanted = wanted.where(history.c.gid.in_(gids))
        if before is not None:
            wanted = wanted.where(history.c.hid < before)
        if uid is not None:
            wanted = wanted.where(history.c.uid == uid)
        if refused is not None:
            wanted = wanted.where(history.c.code.is_not(None) if refused else history.c.code.is_(None))
        if vmid is not None:
            wanted = wanted.where(history.c.vmid == vmid)

        def work(connection: Connection) -> list[tuple[int, Entry]]:
            return [(hid, Entry(*entry)) for hid, *entry in connection.execute(wanted)]

        return await self._database.look(work)

    async def signed_in(self, operations: Collection[str], within: int, limit: int) -> list[tuple[str, str]]:
        last = select(func.max(history.c.hid)).scalar_subquery()
        who = history.c.name, history.c.address
        wanted = (
            select(*who)
            .where(history.c.hid > last - within, history.c.operation.in_(operations), history.c.code.is_(None))
            .group_by(*who)
            .order_by(func.max(history.c.hid).desc())
            .limit(limit)
        )

        def work(connection: Connection) -> list[tuple[str, str]]:
            return [(name, address) for name, address in connection.execute(wanted)]

        return await self._database.look(work)

    async def rotate(self, before: int, most: int) -> None:
        def work(connection: Connection) -> None:
            newest = connection.scalar(select(func.max(history.c.hid)))
            old = history.c.at < before
            connection.execute(delete(history).where(old if newest is None else old | (history.c.hid <= newest - most)))

        await self._database.write(work)
