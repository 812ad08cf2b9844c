"""A consistent copy of an SQLite database while its server runs. https://www.sqlite.org/lang_vacuum.html"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from velocity.hosts.members import CopyMark
from velocity.store.database import Database
from velocity.store.engine import WAIT, file_of

MARK = "select term, written from leadership where id = 1"


class SqliteCopies:
    """Implements `velocity.hosts.copies.CopySource`."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def mark(self) -> CopyMark:
        return _mark(self._file)

    def take(self, file: Path) -> CopyMark:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))  # all secrets are in it
        with contextlib.closing(_reach(self._file)) as connection:
            connection.execute("VACUUM INTO ?", (str(file),))
        return _mark(file)


def copies_of(database: Database) -> SqliteCopies | None:
    """None if there is no file to copy: PostgreSQL has its own replication."""
    file = file_of(database.engine.url)
    return None if file is None else SqliteCopies(file)


def _mark(file: Path) -> CopyMark:
    with contextlib.closing(_reach(file)) as connection:
        term, written = connection.execute(MARK).fetchone()
    return CopyMark(term, written)


def _reach(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=WAIT / 1000, isolation_level=None)
