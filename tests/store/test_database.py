"""The writer: durable, together, and each failure alone. The schema is what the migrations make."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from tests.patience import PATIENCE, eventually
from tests.postgres import Postgres
from tests.store.lossy import Lossy
from velocity.contract.problems import Problem, Refused
from velocity.history.rules import HistoryEntry
from velocity.store import writer
from velocity.store.database import Database, migrate
from velocity.store.history import SqlHistory
from velocity.store.tables import groups, instance, metadata

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(database_url: str, anyio_backend: str) -> AsyncIterator[Database]:
    made = Database(database_url)
    made.open()
    yield made
    await made.close()


def add(name: str) -> sa.Insert:
    return sa.insert(instance).values(name=name, value="x")


def put(connection: sa.Connection, *, name: str) -> None:
    connection.execute(add(name))


async def held(database: Database) -> tuple[threading.Event, asyncio.Future[object]]:
    """The writer is at work until the event is set; what is to be written meanwhile waits for it."""
    begun, goes_on = threading.Event(), threading.Event()

    def work(_connection: sa.Connection) -> None:
        begun.set()
        assert goes_on.wait(PATIENCE)

    writing: asyncio.Future[object] = asyncio.ensure_future(database.aside(work))
    assert await asyncio.to_thread(begun.wait, PATIENCE)
    return goes_on, writing


def names(database: Database) -> set[str]:
    return database.read(lambda connection: {row.name for row in connection.execute(sa.select(instance))})


@pytest.mark.holds("DUR-2")
async def test_one_failure_of_many_touches_no_other(database: Database) -> None:
    await database.write(lambda connection: connection.execute(add("taken")) and None)
    gate, blocker = await held(database)
    wanted = ["a", "taken", "b", "taken", "c"]
    together = [asyncio.ensure_future(database.write(partial(put, name=name))) for name in wanted]
    gate.set()
    results = await asyncio.gather(*together, return_exceptions=True)
    await blocker
    assert [isinstance(one, sa.exc.IntegrityError) for one in results] == [False, True, False, True, False]
    assert names(database) == {"taken", "a", "b", "c"}


@pytest.mark.holds("BOUND-37")
@pytest.mark.parametrize("others", [True, False])
async def test_those_who_shared_a_commit_go_on_in_several_steps_while_others_ask(
    database: Database, others: bool
) -> None:
    """In the order in which they asked, those who failed too; of those who have gone nobody is told."""
    database.told.ask = lambda: others
    many, step, counting = 40, 0, True
    went_on: list[tuple[int, int]] = []

    def count() -> None:
        nonlocal step
        step += 1
        if counting:
            asyncio.get_running_loop().call_soon(count)

    async def ask(number: int) -> None:
        try:
            await database.write(partial(put, name=str(min(number, many - 3))))  # the last ones are taken
        except sa.exc.IntegrityError:
            assert number > many - 3
        went_on.append((number, step))

    gate, blocker = await held(database)
    together = [asyncio.ensure_future(ask(number)) for number in range(many)]
    await asyncio.sleep(0)
    together[2].cancel()
    count()
    gate.set()
    await asyncio.gather(blocker, *together, return_exceptions=True)
    counting = False
    assert [number for number, _ in went_on] == [number for number in range(many) if number != 2]
    steps = [at for _, at in went_on]
    most = max(map(steps.count, steps))
    assert most <= 4 if others else most > 10


async def test_a_lonely_failure_leaves_nothing(database: Database) -> None:
    def work(connection: sa.Connection) -> None:
        connection.execute(add("half"))
        raise KeyError("no")

    with pytest.raises(KeyError):
        await database.write(work)
    assert names(database) == set()


async def test_a_read_never_meets_a_write_of_the_writers_thread(database: Database) -> None:
    """SQLite has one connection: a read on it would end the transaction of another thread, or fail."""
    began, go_on = threading.Event(), threading.Event()

    def slow(connection: sa.Connection) -> None:
        connection.execute(add("one"))
        began.set()
        assert go_on.wait(30)
        connection.execute(add("two"))

    writing = asyncio.ensure_future(database.write(slow))
    await asyncio.to_thread(began.wait, 30)
    reading = asyncio.ensure_future(asyncio.to_thread(names, database))
    await asyncio.sleep(0.05)
    go_on.set()
    await writing
    assert await reading == {"one", "two"}


def test_a_read_within_a_read_is_loud(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/v.db")
    database.open()
    with pytest.raises(sa.exc.OperationalError, match="within a transaction"):
        database.read(lambda connection: names(database))
    assert names(database) == set()


async def test_foreign_keys_hold(database: Database) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        await database.write(
            lambda connection: connection.execute(sa.insert(groups).values(parent_gid=77, name="x")) and None
        )


@pytest.mark.holds("DUR-33")
async def test_what_waits_for_a_lock_together_fails_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One waits in vain, for all: also those that come one after the other, as each waits for the one before.

    By a clock that goes on only while one waits: of others it is not known how long they take.
    """
    database = Database(f"sqlite:///{tmp_path}/v.db")
    database.open()
    database.read(lambda connection: connection.exec_driver_sql("PRAGMA busy_timeout=10"))
    lossy, turn, passed = Lossy(database), asyncio.Lock(), 0.0
    monkeypatch.setattr(writer, "time", SimpleNamespace(monotonic=lambda: passed + 1.5 * lossy.begun))

    async def one(name: str) -> None:
        async with turn:
            await database.write(partial(put, name=name))

    with closing(sqlite3.connect(tmp_path / "v.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        together = [one("a"), one("b"), one("c"), database.write(partial(put, name="d"))]
        results = await asyncio.gather(*together, return_exceptions=True)
        assert [getattr(result, "problem", result) for result in results] == [Problem.UNAVAILABLE] * 4
        assert lossy.begun == 1
        assert await database.look(lambda connection: list(connection.scalars(sa.select(instance.c.name)))) == []
    passed = 1.1
    await database.write(partial(put, name="after"))
    assert names(database) == {"after"}
    await database.close()


async def test_a_session_that_is_lost_in_the_middle_is_a_503_for_all_who_share_it(postgres: Postgres) -> None:
    """And the next request is served, without a restart."""
    database = Database(postgres.database())
    database.open()
    gate, blocker = await held(database)

    def ends(connection: sa.Connection) -> None:
        connection.execute(sa.text("select pg_terminate_backend(pg_backend_pid())"))

    together = [database.write(partial(put, name="a")), database.write(ends), database.write(partial(put, name="b"))]
    waiting = [asyncio.ensure_future(one) for one in together]
    await eventually(lambda: database.waiting == len(waiting))
    gate.set()
    await blocker
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [getattr(result, "problem", result) for result in results] == [Problem.UNAVAILABLE] * 3
    await database.write(partial(put, name="after"))
    assert names(database) == {"after"}
    await database.close()


async def test_a_database_that_does_not_answer_is_a_503(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/v.db")
    database.open()
    database.read(lambda connection: connection.exec_driver_sql("PRAGMA query_only=ON"))
    with pytest.raises(Refused) as refused:
        await database.write(lambda connection: connection.execute(add("x")) and None)
    assert refused.value.problem is Problem.UNAVAILABLE
    await database.close()


async def test_the_migrations_make_the_tables(database: Database) -> None:
    def differences(connection: sa.Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    assert database.read(differences) == []


async def test_entries_of_an_older_history_know_their_vm(database_url: str) -> None:
    database = Database(database_url)
    targets = ("gid=3 vmid=7 name=x", "vmid=8 state=RUNNING", "gid=0 name=vmid=9", "gid=0 name=a vmid=9", "")
    with database.engine.begin() as connection:
        migrate(connection, "0005")
        columns = "at, name, address, request, operation, gid, target, status"
        for target in targets:
            insert = f"insert into history ({columns}) values (1, 'n', 'a', 'r', 'o', 0, :target, 200)"  # noqa: S608
            connection.execute(sa.text(insert), {"target": target})
    database.open()
    found = database.read(lambda connection: list(connection.scalars(sa.text("select vmid from history order by hid"))))
    assert found == [7, 8, None, None, None]
    await database.close()


@pytest.mark.holds("BOUND-31")
async def test_reads_of_the_history_hold_up_no_write(database: Database, database_url: str) -> None:
    """As many as there are at a time stand still in the middle, and a write is done meanwhile."""
    entry = HistoryEntry(1, None, "ann", "::1", "r1", "list_vms", 0, "gid=0", 200, None, None, None)
    history = SqlHistory(database)
    await history.add([entry])
    begun, goes_on = threading.Semaphore(0), threading.Event()

    def stand_still(*told: Any) -> None:
        if "FROM history" in told[2] and threading.current_thread() is not threading.main_thread():
            begun.release()
            goes_on.wait(60)

    sa.event.listen(sa.engine.Engine, "before_cursor_execute", stand_still)
    try:
        reads = [asyncio.ensure_future(history.newest(None, None, 10, None, None, None)) for _ in range(8)]
        assert await asyncio.to_thread(begun.acquire, timeout=30)
        await asyncio.wait_for(database.write(partial(put, name="meanwhile")), 20)
        assert not any(read.done() for read in reads)
    finally:
        goes_on.set()
        found = await asyncio.gather(*reads, return_exceptions=True)
        sa.event.remove(sa.engine.Engine, "before_cursor_execute", stand_still)
    assert found == [[(1, entry)]] * 8
    assert "meanwhile" in names(database)


async def test_a_read_beside_the_writer_changes_nothing_and_makes_no_database(tmp_path: Path) -> None:
    file = tmp_path / "a b#.db"
    made = Database(f"sqlite:///{file}")
    made.open()
    with pytest.raises(Refused):
        await made.page(partial(put, name="forbidden"))
    assert "forbidden" not in names(made)
    file.rename(tmp_path / "moved.db")
    with pytest.raises(Refused):
        await made.page(partial(put, name="forbidden"))
    await made.close()
    assert not file.exists()
