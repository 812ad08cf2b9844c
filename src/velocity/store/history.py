"""The queries of the history."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, func, insert, or_, select, update

from velocity.history.rules import HistoryEntry
from velocity.store.database import Database
from velocity.store.subtree import is_below
from velocity.store.tables import history

_add = insert(history)
_latest = select(history.c.request, history.c.hid).where(
    history.c.code.is_not(None), history.c.hid > select(func.max(history.c.hid)).scalar_subquery() - bindparam("added")
)
_count = update(history).where(history.c.hid == bindparam("entry")).values(times=bindparam("now"))


class SqlHistory:
    """Implements `velocity.history.port.HistoryStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, entries: Sequence[HistoryEntry]) -> dict[str, int]:
        rows = [vars(entry) for entry in entries]
        refused = any(entry.is_refusal for entry in entries)

        def work(connection: Connection) -> dict[str, int]:
            connection.execute(_add, rows)
            if not refused:
                return {}
            return {row.request: row.hid for row in connection.execute(_latest, {"added": len(rows)})}

        return await self._database.aside(work)

    async def count(self, times: Sequence[tuple[int, int]]) -> None:
        rows = [{"entry": hid, "now": now} for hid, now in times]
        await self._database.aside(lambda connection: connection.execute(_count, rows) and None)

    async def newest(
        self,
        top: int | None,
        before: int | None,
        limit: int,
        uid: int | None,
        refused: bool | None,
        vmid: int | None,
    ) -> list[tuple[int, HistoryEntry]]:
        wanted = select(history).order_by(history.c.hid.desc()).limit(limit)
        if top is not None:
            wanted = wanted.where(is_below(history.c.gid, top))
        if before is not None:
            wanted = wanted.where(history.c.hid < before)
        if uid is not None:
            wanted = wanted.where(history.c.uid == uid)
        if refused is not None:
            wanted = wanted.where(history.c.code.is_not(None) if refused else history.c.code.is_(None))
        if vmid is not None:
            wanted = wanted.where(history.c.vmid == vmid)

        def work(connection: Connection) -> list[tuple[int, HistoryEntry]]:
            return [(hid, HistoryEntry(*entry)) for hid, *entry in connection.execute(wanted)]

        return await self._database.page(work)

    async def rotate(self, before: int, most: int, refusals: int) -> None:
        def look(connection: Connection) -> list[ColumnElement[bool]]:
            first, last = connection.execute(select(func.min(history.c.hid), func.max(history.c.hid))).one()
            if first is None or last - first < min(most, refusals):
                return []
            kinds = ((history.c.code.is_(None), most), (history.c.code.is_not(None), refusals))
            found = (_beyond(connection, kind, number) for kind, number in kinds)
            return [where for where in found if where is not None]

        too_many = await self._database.page(look)
        await self._database.write(
            lambda connection: connection.execute(delete(history).where(or_(history.c.at < before, *too_many))) and None
        )


def _beyond(connection: Connection, kind: ColumnElement[bool], most: int) -> ColumnElement[bool] | None:
    """The oldest entries above the limit: first those of a user who has more than half, then any."""
    count = func.count()
    counts = select(history.c.uid, count).where(kind).group_by(history.c.uid).order_by(count.desc())
    found = connection.execute(counts).all()
    excess = sum(number for _, number in found) - most
    if excess <= 0:
        return None
    uid, own = found[0]
    if own > most // 2:
        kind = and_(kind, history.c.uid.is_not_distinct_from(uid))
        excess = min(excess, own - most // 2)
    oldest = select(history.c.hid).where(kind).order_by(history.c.hid).offset(excess - 1).limit(1)
    return and_(kind, history.c.hid <= connection.scalar(oldest))
