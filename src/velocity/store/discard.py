"""Moves rows into the trash, as JSON by table, in the transaction that deletes them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, insert, select

from velocity.access.rules import Discarded
from velocity.sizes import LARGEST
from velocity.store.tables import metadata, trash

Rows = Mapping[str, list[dict[str, Any]]]
_rows = msgspec.json.Decoder(dict[str, list[dict[str, Any]]])


def discard(connection: Connection, discarded: Discarded, where: Mapping[str, ColumnElement[bool]]) -> None:
    """Copy the rows that are about to be deleted into the trash."""
    rows = {
        name: [
            {f"{key}": value for key, value in row._mapping.items()}
            for row in connection.execute(select(metadata.tables[name]).where(clause))
        ]
        for name, clause in where.items()
    }
    connection.execute(
        insert(trash).values(
            kind=discarded.kind,
            id=discarded.id,
            gid=discarded.gid,
            name=discarded.name,
            uid=discarded.uid,
            size=min(discarded.size, LARGEST),
            deleted=int(time.time()),
            rows=msgspec.json.encode(rows).decode(),
        )
    )


def discarded_rows(connection: Connection) -> list[Rows]:
    """The rows of everything in the trash."""
    return [_rows.decode(text) for text in connection.scalars(select(trash.c.rows))]


def decoded(text: str) -> Rows:
    return _rows.decode(text)
