"""How a database is reached, and what it means when it cannot be: in words that name it, and the cure."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine

KEEPALIVE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""A peer that is gone without a word is known within half a minute.
https://www.postgresql.org/docs/current/libpq-connect.html"""
WAIT = 5000
"""Milliseconds for which another process may hold an SQLite database."""
READS = {"reads": True}
"""Execution options of a transaction that changes nothing: it waits for no lock of another process."""


class DatabaseError(Exception):
    """The database cannot be used; the message names it, and the cure, and never the password."""


def parse(text: str) -> URL:
    """Raises `DatabaseError`."""
    if text.startswith("postgres://"):
        text = "postgresql" + text.removeprefix("postgres")
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        url = None
    odd = text.rpartition("@")[0].partition("://")[2]
    if url is None or (url.get_backend_name() == "postgresql" and any(one in odd for one in "@/#?")):
        raise DatabaseError(
            "database: the URL cannot be parsed: it has the form postgresql://user:password@host:port/name; in the "
            "password, write @ : / # ? % as %40 %3A %2F %23 %3F %25"
        )
    return url.set(host=unquote(url.host)) if url.host else url


def file_of(url: URL) -> Path | None:
    """The file of an SQLite database; None: it is none, or lives in memory."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    return Path(url.database)


def connect(url: URL) -> Engine:
    """Nothing is opened yet."""
    if url.get_backend_name() == "postgresql":
        return _postgresql(url)
    return _sqlite(url)


def _postgresql(url: URL) -> Engine:
    arguments = {name: value for name, value in KEEPALIVE.items() if name not in url.query}
    engine = sa.create_engine(url.set(drivername="postgresql+psycopg"), pool_pre_ping=True, connect_args=arguments)

    @sa.event.listens_for(engine, "do_connect")
    def check(dialect: Any, _record: Any, words: Any, named: Any) -> Any:
        connection = dialect.connect(*words, **named)
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            connection.close()
            raise DatabaseError(
                f"the database {url.database!r} has the encoding {encoding}: create one with ENCODING 'UTF8'"
            )
        return connection

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, record: Any) -> None:
        record.info["pid"] = connection.execute("select pg_backend_pid()").fetchone()[0]
        connection.rollback()

    return engine


def _sqlite(url: URL) -> Engine:
    engine = sa.create_engine(url, poolclass=sa.StaticPool, connect_args={"check_same_thread": False})

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
        cursor = connection.cursor()
        for pragma in ("synchronous=FULL", "foreign_keys=ON", f"busy_timeout={WAIT}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get("reads") else "BEGIN IMMEDIATE")

    return engine


def prepare(engine: Engine) -> None:
    """Let readers of SQLite not wait for the writer. It stays so in the file."""
    if engine.dialect.name == "sqlite":
        with contextlib.closing(engine.raw_connection().cursor()) as cursor:
            cursor.execute("PRAGMA journal_mode=WAL")


def backend(connection: Connection) -> int | None:
    """The process that serves this session of PostgreSQL."""
    pid = connection.connection.info.get("pid") if connection.dialect.name == "postgresql" else None
    return None if pid is None else int(pid)


def in_transaction(connection: Connection) -> bool:
    """Whether the database still has the transaction after one of its statements failed."""
    if connection.invalidated:
        return False
    driver = connection.connection.dbapi_connection
    return driver.in_transaction if isinstance(driver, sqlite3.Connection) else True


def is_full(error: BaseException) -> bool:
    """Whether SQLite found no room for a transaction: then its last frame is not whole, and nothing is committed."""
    return getattr(getattr(error, "orig", None), "sqlite_errorcode", None) == sqlite3.SQLITE_FULL


# Words


@contextlib.contextmanager
def in_words(url: URL) -> Iterator[None]:
    """What goes wrong within, as a `DatabaseError`."""
    try:
        yield
    except (sa.exc.DBAPIError, sqlite3.Error, OSError) as error:
        raise DatabaseError(_words(url, error)) from error


def _words(url: URL, error: sa.exc.DBAPIError | sqlite3.Error | OSError) -> str:
    file = file_of(url)
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig is not None else error
    if isinstance(cause, OSError):
        return f"the database {cause.filename or file}: {cause.strerror}: let the server's user create and write it"
    if file is not None:
        return _sqlite_words(file, cause)
    return _postgresql_words(url, cause)


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
    if known is None and getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_CANTOPEN:
        known = (
            "cannot be opened: give the server's user write permission on it and its directory, and free some "
            "space there"
        )
    return f"the database {file} {known or f'cannot be used: {cause}'}"


POSTGRESQL = (
    ("password authentication failed", "the password is wrong: correct it in `database`"),
    ("no password supplied", "it requires a password: set `database` to postgresql://user:password@host/name"),
    ("no pg_hba.conf entry", "it does not allow this user to connect from here: add a line to its pg_hba.conf"),
    ("permission denied", "the user may not create tables there: ALTER DATABASE ... OWNER TO that user"),
    ("role", "there is no such user: create it with CREATE ROLE ... LOGIN"),
    ("database", "there is no such database: create it with CREATE DATABASE ... OWNER"),
    ("name or service not known", "there is no such host: correct its name in `database`"),
    ("could not translate host name", "there is no such host: correct its name in `database`"),
    ("failed to resolve host", "there is no such host: correct its name in `database`"),
    ("too many", "it has no free connections: close some, or raise its max_connections"),
)
"""What stands in PostgreSQL's own words, and what it means."""
ABSENT = ("role", "database")


def _postgresql_words(url: URL, cause: BaseException) -> str:
    query = url.query.get("host")
    host = url.host or (query if isinstance(query, str) else "") or "the local socket"
    where = (
        f"PostgreSQL at {host}{f':{url.port}' if url.port else ''}, database {url.database!r}, user {url.username!r}"
    )
    own = " ".join(str(cause).split())
    for sign, meaning in POSTGRESQL:
        if sign in own.lower() and (sign not in ABSENT or (f'{sign} "' in own and "does not exist" in own)):
            return f"{where}: {meaning}"
    if "connection" in own.lower():
        return f"{where} does not respond: start it, or correct `database` ({_shortened(own)})"
    return f"{where}: {_shortened(own)}"


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "..."
