"""The floor of a durable change: SQLite's commits alone, each in the log on the disk before the next one begins.

And how many of them a database was given: https://www.sqlite.org/fileformat2.html#walformat
"""

from __future__ import annotations

import sqlite3
import struct
import time
from collections.abc import Callable
from pathlib import Path

ROW = "x" * 600
"""About what a VM without media takes."""


class Commits:
    """A database of its own, set as ours is."""

    def __init__(self, file: Path) -> None:
        self._connection = sqlite3.connect(file, isolation_level=None)
        for statement in (
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
            "CREATE TABLE rows (id INTEGER PRIMARY KEY, row TEXT)",
        ):
            self._connection.execute(statement)

    def run(self, seconds: float) -> list[float]:
        """Milliseconds of each commit of one row."""
        found = []
        end = time.perf_counter() + seconds
        now = time.perf_counter()
        while now < end:
            begun = now
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("INSERT INTO rows (row) VALUES (?)", (ROW,))
            self._connection.execute("COMMIT")
            now = time.perf_counter()
            found.append((now - begun) * 1000)
        return found

    def close(self) -> None:
        self._connection.close()


def counted(file: Path, first: Callable[[], object], work: Callable[[], object]) -> int:
    """How many commits `work` cost. `first` writes something, too: the log may begin anew with it.

    Somebody who reads meanwhile keeps the log from beginning anew after that.
    """
    reader = sqlite3.connect(file, isolation_level=None)
    try:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        first()
        before = _commits(Path(f"{file}-wal"))
        work()
        return _commits(Path(f"{file}-wal")) - before
    finally:
        reader.close()


def _commits(log: Path) -> int:
    """Frames that end a transaction: those of the log's present turn, which bear its salt."""
    found = 0
    with log.open("rb") as source:
        header = source.read(32)
        page, salt = struct.unpack(">8xI4x8s8x", header)
        while len(frame := source.read(24)) == 24:
            pages, its_salt = struct.unpack(">4xI8s8x", frame)
            if its_salt != salt:
                break
            found += pages > 0
            source.seek(page, 1)
    return found
