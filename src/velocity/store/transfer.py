"""Exports and imports a whole database as lines of JSON: for backups, and for changing the database.

The first line describes the export, each further one is a row, and the last one has their number, which reveals a
truncated file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
from msgspec import Meta, Struct
from sqlalchemy import Connection

from velocity import __version__
from velocity.store.database import HEAD, Database, revision_of
from velocity.store.errors import DatabaseError
from velocity.store.hosts import leads
from velocity.store.tables import authority, hosts, leadership, metadata, node_tokens

COUNTED = ("users", "groups", "machines", "tasks", "trash", "history")
"""Tables whose ids are never reused; their last ids are exported."""


STAY = (leadership, authority, node_tokens)
"""Tables that belong to one database: the leadership, and the secrets by which hosts are admitted."""
MOVES = {f"{table.name}": table for table in metadata.sorted_tables if table not in STAY}
"""The exported tables by name, parents before children."""


class TransferError(Exception):
    """The import failed; nothing was changed."""


class Head(Struct, frozen=True):
    velocity: str
    schema: str
    last_ids: dict[str, Annotated[int, Meta(ge=0, le=2**63 - 1)]]


class Row(Struct, frozen=True):
    table: str
    row: dict[str, Any]


class EndRecord(Struct, frozen=True):
    rows: int


_encode = msgspec.json.Encoder().encode


def export(database: Database) -> list[bytes]:
    """The lines of one snapshot; a server may be running. Raises `DatabaseError`."""
    return database.read_consistent(lambda connection: list(_lines(connection)))


def _check(connection: Connection) -> None:
    found = revision_of(connection)
    if found is None:
        raise DatabaseError("the database holds no installation: correct the setting `database`, or `data_dir`")
    if found != HEAD:
        raise DatabaseError(
            f"the database has the schema {found}, and this version of Velocity {HEAD}: export it with the version "
            "that its server has"
        )


def _lines(connection: Connection) -> Iterator[bytes]:
    _check(connection)
    yield _encode(Head(__version__, HEAD, {name: _last_id(connection, name) for name in COUNTED}))
    count, own = 0, leads(connection)  # the importing machine becomes this host
    for table in MOVES.values():
        # Groups have higher ids than their parents, so in the order of ids all references are valid.
        for row in connection.execute(sa.select(table).order_by(*table.primary_key.columns)):
            values = {f"{name}": value for name, value in row._mapping.items()}
            if table is hosts and row.host_id == own:
                values["uuid"] = None
            yield _encode(Row(f"{table.name}", values))
            count += 1
    yield _encode(EndRecord(count))


def load(database: Database, lines: Iterable[bytes]) -> int:
    """Import into an empty database; returns the number of rows. Raises `TransferError`, having changed nothing."""
    try:
        return database.read(lambda connection: _load(connection, iter(lines)))
    except sa.exc.IntegrityError:
        raise TransferError("it is incomplete: rows refer to others that are missing") from None


def _load(connection: Connection, lines: Iterator[bytes]) -> int:
    head = _decode(next(lines, b""), Head)
    if head.schema != HEAD:
        raise TransferError(
            f"it was exported with schema {head.schema}, and this version has {HEAD}: export it with this version, "
            "or import it with the version that exported it and upgrade"
        )
    for table in MOVES.values():
        if connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one():
            raise TransferError("the database is not empty: choose an empty one")
    for count, line in enumerate(lines):
        if line.startswith(b'{"rows"'):
            if _decode(line, EndRecord).rows != count or next(lines, None) is not None:
                break
            for name in COUNTED:
                _set_last_id(connection, name, head.last_ids.get(name, 0))
            return count
        row = _decode(line, Row)
        connection.execute(sa.insert(_table(row.table)).values(_values(_table(row.table), row.row)))
    raise TransferError("it is incomplete: rows are missing at its end, or there are too many")


def _decode(line: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(line, type=kind)
    except (UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise TransferError(f"it is not an export of Velocity: {error}") from None


def _table(name: str) -> sa.Table:
    try:
        return MOVES[name]
    except KeyError:
        raise TransferError(f"there is no table {name!r}") from None


def _values(table: sa.Table, row: dict[str, Any]) -> dict[str, Any]:
    """The row's values, which fit its table in each database. Raises `TransferError`."""
    return {name: None if value is None else _value(table, name, value) for name, value in row.items()}


def _value(table: sa.Table, name: str, value: Any) -> Any:
    column = table.columns.get(name)
    if column is None:
        raise TransferError(f"the table {table.name} has no column {name!r}")
    kind = column.type.python_type
    if kind is bytes and isinstance(value, str):
        with contextlib.suppress(msgspec.ValidationError):
            return msgspec.convert(value, bytes)  # Base64
    most = 2**63 if isinstance(column.type, sa.BigInteger) else 2**31  # as in PostgreSQL
    if type(value) is not kind or "\0" in str(value) or (kind is int and not -most <= value < most):
        raise TransferError(f"the column {name!r} of the table {table.name} cannot have such a value")
    return value


def _last_id(connection: Connection, name: str) -> int:
    if connection.dialect.name == "sqlite":
        found = connection.execute(sa.text("select seq from sqlite_sequence where name = :name"), {"name": name})
        return int(found.scalar() or 0)
    return int(connection.scalar(sa.text("select coalesce(pg_sequence_last_value(:s), 0)"), {"s": _sequence(name)}))


def _set_last_id(connection: Connection, name: str, last: int) -> None:
    if connection.dialect.name == "sqlite":
        connection.execute(sa.text("delete from sqlite_sequence where name = :name"), {"name": name})
        connection.execute(sa.text("insert into sqlite_sequence values (:name, :last)"), {"name": name, "last": last})
    elif last:
        connection.execute(sa.text("select setval(:s, :last)"), {"s": _sequence(name), "last": last})


def _sequence(name: str) -> str:
    (key,) = metadata.tables[name].primary_key.columns
    return f"{name}_{key.name}_seq"
