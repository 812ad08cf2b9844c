"""Connects to a database; its error messages name the database and the cure."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine

from velocity.store import postgresql
from velocity.store.errors import DatabaseError

WAIT = 5000
"""Milliseconds to wait while another process holds an SQLite database."""
READS = {"reads": True}
"""Execution options of a read-only transaction, which does not wait for locks of other processes."""


def parse(text: str) -> URL:
    """The URL of the database. Raises `DatabaseError`."""
    text = text.strip()
    if postgresql.SCHEME.match(text):
        return postgresql.parse(text)
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        url = None
    if url is None or url.get_backend_name() != "sqlite":
        raise DatabaseError(
            "database: this is no URL of a database that can be used: set it to "
            "postgresql://user:password@host:port/name, or leave it out for SQLite"
        )
    return url


def file_of(url: URL) -> Path | None:
    """The file of an SQLite database; None for PostgreSQL or a database in memory."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    return Path(url.database)


def connect(url: URL) -> Engine:
    """An engine, without a connection yet."""
    if url.get_backend_name() == "postgresql":
        return postgresql.connect(url)
    return _sqlite(url)


def _sqlite(url: URL) -> Engine:
    engine = sa.create_engine(url, poolclass=sa.StaticPool, connect_args={"check_same_thread": False})

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin where we say, not where the driver decides
        cursor = connection.cursor()
        for pragma in ("synchronous=FULL", "foreign_keys=ON", f"busy_timeout={WAIT}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get("reads") else "BEGIN IMMEDIATE")

    return engine


def readers(url: URL, engine: Engine) -> Engine | None:
    """The engine for reads beside the writer; None if there is only one connection."""
    if url.get_backend_name() == "postgresql":
        return engine
    file = file_of(url)
    if file is None:
        return None

    def reach() -> sqlite3.Connection:
        there = f"{file.absolute().as_uri()}?mode=rw"  # never creates the file
        connection = sqlite3.connect(
            there, uri=True, timeout=WAIT / 1000, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA query_only=ON")
        return connection

    made = sa.create_engine("sqlite://", creator=reach, poolclass=sa.QueuePool)
    sa.event.listen(made, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return made


def prepare(engine: Engine) -> None:
    """Put SQLite into WAL mode, in which reads do not wait for writes. The file keeps the mode."""
    if engine.dialect.name == "sqlite":
        with contextlib.closing(engine.raw_connection().cursor()) as cursor:
            cursor.execute("PRAGMA journal_mode=WAL")


def in_transaction(connection: Connection) -> bool:
    """Whether the transaction still exists after one of its statements has failed."""
    if connection.invalidated:
        return False
    driver = connection.connection.dbapi_connection
    return driver.in_transaction if isinstance(driver, sqlite3.Connection) else True


def is_full(error: BaseException) -> bool:
    """Whether SQLite ran out of space: then the last frame is incomplete, and the transaction is not committed."""
    return getattr(getattr(error, "orig", None), "sqlite_errorcode", None) == sqlite3.SQLITE_FULL


# Words


@contextlib.contextmanager
def in_words(url: URL) -> Iterator[None]:
    """Turns errors of the database into `DatabaseError`."""
    try:
        yield
    except (sa.exc.DBAPIError, sqlite3.Error, OSError) as error:
        raise DatabaseError(_words(url, error)) from error


def cause(error: Exception) -> Exception:
    """The driver's own error: SQLAlchemy's also has the statement and a link, on several lines."""
    return error.orig if isinstance(error, sa.exc.DBAPIError) and isinstance(error.orig, Exception) else error


def _words(url: URL, error: sa.exc.DBAPIError | sqlite3.Error | OSError) -> str:
    file = file_of(url)
    own = cause(error)
    if isinstance(own, OSError):
        return f"the database {own.filename or file}: {own.strerror}: let the server's user create and write it"
    if file is not None:
        return _sqlite_words(file, own)
    return postgresql.explained(url, own)


SQLITE = {
    sqlite3.SQLITE_NOTADB: "is not an SQLite database: restore it from a backup, or correct the setting `database`",
    sqlite3.SQLITE_CORRUPT: "is damaged: restore it from a backup (`velocity db import`)",
    sqlite3.SQLITE_BUSY: "is in use by another process: end that process",
    sqlite3.SQLITE_LOCKED: "is in use by another process: end that process",
    sqlite3.SQLITE_READONLY: "is not writable: give the server's user write permission, or mount its disk for writing",
    sqlite3.SQLITE_PERM: "cannot be accessed: give the server's user permission",
    sqlite3.SQLITE_FULL: "cannot be written because its disk is full: free some space there",
    sqlite3.SQLITE_IOERR: "cannot be read or written because its disk fails or is full: see the kernel's log",
}


def _sqlite_words(file: Path, cause: BaseException) -> str:
    if file.is_dir():
        return f"the database {file} is a directory: move it away, and restore the file from a backup"
    known = SQLITE.get(getattr(cause, "sqlite_errorcode", 0) & 0xFF)
    if "already exists" in str(cause):
        known = "holds tables of another program: correct the setting `database`"
    if known is None and getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_CANTOPEN:
        known = (
            "cannot be opened: give the server's user write permission on it and its directory, and free some "
            "space there"
        )
    return f"the database {file} {known or f'cannot be used: {cause}'}"
