"""A change's commit while eight read a history of 216,000 entries, beside the same commit alone."""

from __future__ import annotations

import asyncio
import tempfile
import time
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from bench.harness import Bench
from velocity.history.rules import HistoryEntry
from velocity.store.database import Database
from velocity.store.history import SqlHistory
from velocity.store.tables import instance

ENTRIES, TOGETHER, READERS, PAGE = 216_000, 2000, 8, 1000
ROUNDS, COMMITS = 3, 60
ALONE, READ = "commit of a change: alone", f"commit of a change: {READERS} read the history"


def main() -> None:
    bench = Bench("history", "reads of the history")
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(_measure(bench, Path(place)))
    bench.goal(READ, ALONE, factor=2, plus=2)
    bench.finish()


async def _measure(bench: Bench, place: Path) -> None:
    database = Database(f"sqlite:///{place / 'velocity.db'}")
    database.open()
    history = SqlHistory(database)
    for first in range(0, ENTRIES, TOGETHER):
        await history.add([_entry(number) for number in range(first, first + TOGETHER)])
    for number in range(ROUNDS):
        bench.add(ALONE, "ms", *await _commits(database, f"alone {number}"))
        reading = [asyncio.ensure_future(_read(history, gid)) for gid in range(READERS)]
        await asyncio.sleep(0.3)
        bench.add(READ, "ms", *await _commits(database, f"read {number}"))
        for one in reading:
            one.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
    await database.close()


def _entry(number: int) -> HistoryEntry:
    gid, uid = number % 20, number % 50 + 1
    return HistoryEntry(1, uid, "ann", "::1", f"r{number}", "list_vms", gid, f"gid={gid}", 200, None, None, None)


async def _read(history: SqlHistory, gid: int) -> None:
    """Pages of a group; every other reader asks for a user who did nothing, for which all is looked at."""
    while True:
        await history.newest(gid, None, PAGE, 99 if gid % 2 else None, None, None)


async def _commits(database: Database, name: str) -> list[float]:
    taken = []
    for number in range(COMMITS):
        begun = time.perf_counter()
        await database.write(partial(_put, name=f"{name} {number}"))
        taken.append((time.perf_counter() - begun) * 1000)
        await asyncio.sleep(0.01)
    return taken


def _put(connection: sa.Connection, *, name: str) -> None:
    connection.execute(sa.insert(instance).values(name=name, value="x"))


if __name__ == "__main__":
    main()
