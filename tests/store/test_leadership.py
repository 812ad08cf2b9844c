"""One server at a time writes to a database: each transaction proves it, whatever became of the lock."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.patience import PATIENCE, eventually
from tests.postgres import ENDS, Postgres
from velocity.contract.problems import Problem, Refused
from velocity.store import database as module
from velocity.store.database import Database
from velocity.store.errors import DatabaseError
from velocity.store.leadership import LEADER, AdvisoryLock, Busy
from velocity.store.postgresql import connect, parse
from velocity.store.tables import instance

pytestmark = pytest.mark.anyio


async def write(database: Database, name: str) -> None:
    await database.write(
        lambda connection: connection.execute(sa.insert(instance).values(name=name, value="x")) and None
    )


def names(database: Database) -> set[str]:
    return database.read(lambda connection: set(connection.scalars(sa.select(instance.c.name))))


def cut(url: str) -> None:
    """The lock is gone without its holder's doing: its sessions are ended, or its file was removed."""
    if url.startswith("sqlite"):
        Path(url.removeprefix("sqlite:///") + ".lock").unlink(missing_ok=True)
        return
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        sessions = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        connection.execute(sa.text(f"select pg_terminate_backend(pid, :ends) {sessions}"), {"ends": ENDS})
    engine.dispose()


@pytest.mark.holds("DUR-25")
async def test_a_server_that_was_displaced_writes_no_more(database_url: str) -> None:
    first, second = Database(database_url), Database(database_url)
    first.open()
    await write(first, "of the first")
    cut(database_url)
    second.open()
    for n in range(2):
        with pytest.raises(Refused) as refused:
            await write(first, f"too late {n}")
        assert refused.value.problem is Problem.UNAVAILABLE
        assert "another server has taken over" in refused.value.message
    assert first.lost
    await write(second, "of the second")
    assert names(second) == {"of the first", "of the second"}
    assert not second.lost
    await first.close()
    await second.close()


async def test_who_is_displaced_hears_of_it_without_writing(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK", 0.1)
    first, second = Database(database_url), Database(database_url)
    first.open()
    cut(database_url)
    second.open()
    ended = asyncio.Event()
    first.watch(ended.set)
    async with asyncio.timeout(PATIENCE):
        await ended.wait()
    assert first.lost
    await first.close()
    await second.close()


@pytest.mark.holds("DUR-27")
async def test_a_lock_that_was_lost_is_taken_again(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a restart of PostgreSQL the server goes on, and keeps others out as before."""
    monkeypatch.setattr(module, "LOOK", 0.1)
    first, second = Database(database_url), Database(database_url)
    first.open()
    look, seen = first.lock.look, list[bool]()

    def looks() -> bool:
        seen.append(look())
        return seen[-1]

    monkeypatch.setattr(first.lock, "look", looks)
    first.watch(lambda: None)
    await eventually(lambda: seen)
    cut(database_url)
    await eventually(lambda: False in seen and seen[-1], "the lock, taken again")
    with pytest.raises(Busy):
        second.open()
    await write(first, "goes on")
    assert not first.lost
    await first.close()
    await second.close()


async def test_a_look_at_a_lost_lock_never_raises_also_where_no_connection_is_free(postgres: Postgres) -> None:
    """It is taken again once there is one."""
    url = postgres.database()
    engine = sa.create_engine(
        url.replace("postgresql:", "postgresql+psycopg:"), pool_size=2, max_overflow=0, pool_timeout=0.1
    )

    @sa.event.listens_for(engine, "connect")
    def note(connection: Any, record: Any) -> None:
        record.info["pid"] = connection.info.backend_pid

    lock = AdvisoryLock(engine)
    try:
        lock.take()
        with engine.connect():
            cut(url)
            assert [lock.look() for _ in range(2)] == [False, False]
        await eventually(lock.look, "the lock, taken again")
        lock.close()
    finally:
        engine.dispose()


@pytest.mark.holds("STATE-24")
async def test_an_error_that_nobody_foresaw_does_not_end_the_looks_at_the_leadership(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK", 0.01)
    database = Database(database_url)
    database.open()
    look, looks = database.lock.look, 0

    def fails_once() -> bool:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise RuntimeError("it fails")
        return look()

    monkeypatch.setattr(database.lock, "look", fails_once)
    database.watch(lambda: None)
    await eventually(lambda: looks > 1)
    await database.close()


@pytest.mark.holds("DUR-28")
async def test_a_pooler_that_keeps_no_session_is_refused(postgres: Postgres) -> None:
    """Two clients that have one session between them: its lock would keep nobody out."""
    url = postgres.database().replace("postgresql:", "postgresql+psycopg:")
    pooled = sa.create_engine(url, poolclass=sa.StaticPool)
    with pytest.raises(DatabaseError, match="connect to PostgreSQL directly, or configure the pooler to keep sessions"):
        AdvisoryLock(pooled).take()
    pooled.dispose()


async def test_what_only_reads_proves_nothing_and_writes_nothing(tmp_path: Path) -> None:
    """A read works on a disk that takes no writes, and costs no flush."""
    database = Database(f"sqlite:///{tmp_path}/v.db")
    database.open()
    before = (tmp_path / "v.db-wal").read_bytes()
    assert await database.look(lambda connection: list(connection.scalars(sa.select(instance.c.name)))) == []
    assert (tmp_path / "v.db-wal").read_bytes() == before
    database.read(lambda connection: connection.exec_driver_sql("PRAGMA query_only=ON"))
    assert await database.look(lambda connection: list(connection.scalars(sa.select(instance.c.name)))) == []
    await database.close()


async def test_a_lock_that_was_let_go_is_free_at_once(postgres: Postgres) -> None:
    """A server that is restarted finds it so: PostgreSQL notices the end of a session a moment later."""
    engine = connect(parse(postgres.database()))
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as next_one:
            for _ in range(20):
                lock = AdvisoryLock(engine)
                lock.take()
                lock.close()
                assert next_one.scalar(sa.select(sa.func.pg_try_advisory_lock(LEADER)))
                next_one.scalar(sa.select(sa.func.pg_advisory_unlock(LEADER)))
    finally:
        engine.dispose()
