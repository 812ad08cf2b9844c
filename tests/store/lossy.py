"""A database whose answers are lost: at the driver's edge, as a cut cable or a disk that fails would do it."""

from __future__ import annotations

import sqlite3
from typing import Any

import psycopg
import sqlalchemy as sa

from velocity.store.database import Database


class Lossy:
    """Of a database that is open. `silent`: it takes no transaction."""

    def __init__(self, database: Database) -> None:
        self._engine = database.engine
        self._lose = ""
        self._changes = False
        self.silent = False
        self.begun = 0
        """Transactions of SQLite that were to write, whether or not it let them."""
        sa.event.listen(self._engine, "before_cursor_execute", self._count)
        sa.event.listen(self._engine, "begin", self._begin)
        sa.event.listen(self._engine, "commit", self._commit)

    def lose(self, how: str) -> None:
        """The answer to the next commit of a change: one that is `made`, or `undone`; `silent` afterwards, too."""
        self._lose = how

    def _count(self, _connection: sa.Connection, _cursor: Any, statement: str, *_rest: Any) -> None:
        self.begun += statement == "BEGIN IMMEDIATE"
        self._changes |= statement.split(maxsplit=1)[0].upper() in ("INSERT", "UPDATE", "DELETE")

    def _begin(self, _connection: sa.Connection) -> None:
        self._changes = False
        if self.silent:
            raise self._error("begin")

    def _commit(self, connection: sa.Connection) -> None:
        if not self._lose or not self._changes:
            return
        how, self._lose = self._lose, ""
        driver: Any = connection.connection.dbapi_connection
        if "made" in how:
            driver.execute("COMMIT")
        if isinstance(driver, psycopg.Connection):
            driver.close()
        self.silent = "silent" in how
        raise self._error("commit")

    def _error(self, what: str) -> sa.exc.OperationalError:
        kind = sqlite3.OperationalError if self._engine.dialect.name == "sqlite" else psycopg.OperationalError
        return sa.exc.OperationalError(what, None, kind("disk I/O error"))
