"""The queries of repeated requests."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from velocity.idempotency.port import Noted, Pending
from velocity.store.database import Database
from velocity.store.tables import repeats, users


class SqlIdempotency:
    """Implements `velocity.idempotency.port.IdempotencyStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, uid: int, key: str, forget_before: int) -> Noted | None:
        def work(connection: Connection) -> Noted | None:
            columns = select(repeats.c.fingerprint, repeats.c.answer)
            where = (repeats.c.uid == uid) & (repeats.c.key == key) & (repeats.c.at >= forget_before)
            row = connection.execute(columns.where(where)).first()
            return None if row is None else Noted(*row)

        return await self._database.look(work)

    async def times(self, uid: int, since: int, most: int) -> list[int]:
        def work(connection: Connection) -> list[int]:
            found = select(repeats.c.at).where((repeats.c.uid == uid) & (repeats.c.at >= since))
            newest = connection.execute(found.order_by(repeats.c.at.desc()).limit(most)).scalars()
            return sorted(int(at) for at in newest)

        return await self._database.look(work)

    async def keep(self, pending: Pending, answer: bytes | None, now: int, forget_before: int) -> None:
        def work(connection: Connection) -> None:
            connection.execute(delete(repeats).where(repeats.c.at < forget_before))
            if connection.execute(select(users.c.uid).where(users.c.uid == pending.uid)).first() is None:
                return  # removed meanwhile, perhaps by this very request
            _delete(connection, pending.uid, pending.key)
            row = {"uid": pending.uid, "key": pending.key, "fingerprint": pending.fingerprint}
            connection.execute(insert(repeats).values(**row, answer=answer, at=now))

        await self._database.aside(work)

    async def drop(self, uid: int, key: str) -> None:
        await self._database.aside(lambda connection: _delete(connection, uid, key))


def _delete(connection: Connection, uid: int, key: str) -> None:
    connection.execute(delete(repeats).where((repeats.c.uid == uid) & (repeats.c.key == key)))
