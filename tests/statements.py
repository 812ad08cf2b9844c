"""SQL statements are compiled once in a process, and not once by each server that a test starts.

SQLAlchemy keeps what it has compiled for as long as an engine lives, by the engine's dialect and the statement. Here
all engines of one kind of database have the same dialect and the same memory, as one server's would after a while.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.util import LRUCache

KEPT = 2000
"""Compiled statements: more than all tests together have."""

_shared: dict[type[Dialect], tuple[Dialect, LRUCache[object, object]]] = {}


def compile_once() -> None:
    sa.event.listen(sa.Engine, "engine_connect", _share)


def _share(connection: Connection) -> None:
    dialect, compiled = _shared.setdefault(type(connection.dialect), (connection.dialect, LRUCache(KEPT)))
    connection.dialect = dialect
    connection.execution_options(compiled_cache=compiled)
