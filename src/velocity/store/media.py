"""The queries of media."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from velocity.access.rules import Discarded
from velocity.contract.media import Content
from velocity.media.rules import Assignment, Medium
from velocity.store.database import Database
from velocity.store.discard import discard, discarded_rows
from velocity.store.tables import assignments, media


class SqlMedia:
    """Implements `velocity.media.port.MediaStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self) -> list[Medium]:
        def work(connection: Connection) -> list[Medium]:
            return [medium_of(row._mapping) for row in connection.execute(select(media).order_by(media.c.name))]

        return self._database.read(work)

    def load_assignments(self) -> dict[tuple[int, int], Assignment]:
        def work(connection: Connection) -> dict[tuple[int, int], Assignment]:
            rows = connection.execute(select(assignments))
            return {(row.gid, row.mpid): Assignment(row.quota, row.write, row.manage) for row in rows}

        return self._database.read(work)

    async def assign(self, gid: int, mpid: int, assignment: Assignment) -> None:
        def work(connection: Connection) -> None:
            _unassign(connection, gid, mpid)
            row = {"quota": assignment.quota, "write": assignment.write, "manage": assignment.manage}
            connection.execute(insert(assignments).values(gid=gid, mpid=mpid, **row))

        await self._database.write(work)

    async def unassign(self, gid: int, mpid: int) -> None:
        await self._database.write(lambda connection: _unassign(connection, gid, mpid))

    async def add(self, medium: Medium) -> None:
        row = row_of(medium)
        await self._database.write(lambda connection: connection.execute(insert(media).values(row)) and None)

    async def update(self, medium: Medium) -> None:
        def work(connection: Connection) -> None:
            row = row_of(medium)
            connection.execute(update(media).where(media.c.mid == row.pop("mid")).values(row))

        await self._database.write(work)

    def load_discarded(self) -> list[Medium]:
        return [medium_of(row) for rows in self._database.read(discarded_rows) for row in rows.get("media", ())]

    async def remove(self, mid: UUID, discarded: Discarded | None = None) -> None:
        def work(connection: Connection) -> None:
            if discarded is not None:
                discard(connection, discarded, {"media": media.c.mid == str(mid)})
            connection.execute(delete(media).where(media.c.mid == str(mid)))

        await self._database.write(work)


def row_of(medium: Medium) -> dict[str, Any]:
    return {
        "mid": str(medium.mid),
        "mpid": medium.mpid,
        "gid": medium.gid,
        "name": medium.name,
        "type": medium.type,
        "size": medium.size,
        "readonly": medium.readonly,
        "format": medium.format,
        "content": msgspec.json.encode(medium.content).decode(),
        "growing": medium.growing,
        "origin": medium.origin,
    }


def medium_of(row: Mapping[Any, Any]) -> Medium:
    return Medium(
        mid=UUID(row["mid"]),
        mpid=row["mpid"],
        gid=row["gid"],
        name=row["name"],
        type=row["type"],
        size=row["size"],
        readonly=bool(row["readonly"]),
        format=row["format"],
        content=msgspec.json.decode(row["content"], type=Content),
        growing=bool(row.get("growing")),  # missing in rows that an older version put into the trash
        origin=row.get("origin"),  # missing in rows that an older version put into the trash
    )


def _unassign(connection: Connection, gid: int, mpid: int) -> None:
    connection.execute(delete(assignments).where((assignments.c.gid == gid) & (assignments.c.mpid == mpid)))
