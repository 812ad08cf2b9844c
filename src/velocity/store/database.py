"""One database, one writer: a thread that commits what arrives together in one transaction (group commit)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from velocity import plan, priority
from velocity.contract.problems import Problem, Refused
from velocity.idempotency.port import PENDING, Pending
from velocity.store.tables import repeats

HEAD = "0009"
"""The newest revision in migrations/versions."""

MOST_TOGETHER = 128
LEADER = 0x56454C4F
"""The advisory lock of the one server on a PostgreSQL database."""

T = TypeVar("T")
_Job = tuple[Callable[[Connection], Any], "asyncio.Future[Any]"]
_Outcome = tuple[Any, Exception | None]
"""What came of a job: its result, or why it failed."""


class Busy(Exception):
    """Another server works on this database."""


class Database:
    """The writer. What `write` returns is durable; what raises has changed nothing.

    Work runs in the writer's thread, one after the other; work that arrives while a commit is under way shares the
    next one, each in a savepoint of its own so that one failure does not touch the others.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self._turn = threading.RLock()
        """Of SQLite there is one connection: a transaction begins when that of another thread has ended."""
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._leader: Connection | None = None

    def open(self) -> None:
        """Bring the schema to the newest revision, as the one who may write.

        Raises `Busy`, and `sqlalchemy.exc.SQLAlchemyError` when the database does not answer.
        """
        if self._engine.dialect.name == "postgresql":
            self._lead()
        with self._engine.begin() as connection:
            if _revision(connection) != HEAD:
                migrate(connection)

    def _lead(self) -> None:
        """Hold an advisory lock for as long as this server lives; SQLite has the lock file of the data directory.

        https://www.postgresql.org/docs/current/explicit-locking.html
        """
        leader = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if not leader.scalar(sa.select(sa.func.pg_try_advisory_lock(LEADER))):
            leader.close()
            raise Busy
        self._leader = leader

    def snapshot(self, work: Callable[[Connection], T]) -> T:
        """Run a read that sees one moment of all tables, and holds up nobody."""
        options = {"snapshot": True}
        if self._engine.dialect.name == "postgresql":
            options["isolation_level"] = "REPEATABLE READ"  # type: ignore[assignment]
        with self._turn, self._engine.connect().execution_options(**options) as connection, connection.begin():
            return work(connection)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run a read, in the caller's thread: for the start only, as all that is asked often is in memory.

        It waits for a commit that is under way, and so would the loop.
        """
        with self._turn, self._engine.begin() as connection:
            return work(connection)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction and return its result once that is committed and on the disk.

        Of a plan, it is where the plan ends.
        Raises what `work` raises; `Refused(UNAVAILABLE)` when the database does not answer (a full disk, a lock).
        """
        plan.ends()
        pending = PENDING.get()
        return await self._queue(work if pending is None or pending.noted else _noting(pending, work))

    async def aside(self, work: Callable[[Connection], T]) -> T:
        """Run what is no change of a request: a read of what is asked seldom, a run, a note of our own."""
        return await self._queue(work)

    async def _queue(self, work: Callable[[Connection], T]) -> T:
        self._loop = asyncio.get_running_loop()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="store", daemon=True)
            self._thread.start()
        done: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put((work, done))
        return await done  # a caller that goes away undoes nothing: its future alone is cancelled

    async def close(self) -> None:
        if self._thread is not None:
            self._jobs.put(None)
            await asyncio.to_thread(self._thread.join)
        if self._leader is not None:
            self._leader.close()
        self._engine.dispose()

    def _run(self) -> None:
        priority.raise_thread()
        while (first := self._jobs.get()) is not None:
            jobs: list[_Job] = [first]
            ends = False
            while len(jobs) < MOST_TOGETHER:
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if job is None:
                    ends = True
                    break
                jobs.append(job)
            self._commit(jobs)
            if ends:
                return

    def _commit(self, jobs: list[_Job]) -> None:
        outcomes: list[_Outcome] = []
        try:
            with self._turn, self._engine.begin() as connection:
                for work, _ in jobs:
                    outcomes.append(_attempt(connection, work, alone=len(jobs) == 1))
                if len(jobs) == 1 and outcomes[0][1] is not None:
                    raise _Undo
        except _Undo:
            pass
        except Exception as error:
            outcomes = [(None, error)] * len(jobs)
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(_settle, [done for _, done in jobs], outcomes)


def _noting(pending: Pending, work: Callable[[Connection], T]) -> Callable[[Connection], T]:
    """The work, and beside it in the same transaction the note that the request was carried out."""

    def both(connection: Connection) -> T:
        if pending.noted:  # by work of the same request that was queued before
            return work(connection)
        row = {"uid": pending.uid, "key": pending.key, "fingerprint": pending.fingerprint}
        connection.execute(sa.insert(repeats).values(**row, at=int(time.time())))
        result = work(connection)
        pending.noted = True
        return result

    return both


class _Undo(Exception):
    """Rolls a transaction back whose only work failed."""


def _attempt(connection: Connection, work: Callable[[Connection], Any], *, alone: bool) -> _Outcome:
    try:
        if alone:
            return work(connection), None
        with connection.begin_nested():
            return work(connection), None
    except Exception as error:
        return None, error


def _translated(failure: Exception) -> Exception:
    if isinstance(failure, sa.exc.OperationalError):
        refusal = Refused(Problem.UNAVAILABLE, "the database does not answer; nothing was changed: try again later")
        refusal.__cause__ = failure
        return refusal
    return failure


def _settle(futures: Sequence[asyncio.Future[Any]], outcomes: Sequence[_Outcome]) -> None:
    """In one step of the loop for all that shared a commit."""
    for done, (result, failure) in zip(futures, outcomes, strict=True):
        if done.cancelled():
            continue
        if failure is None:
            done.set_result(result)
        else:
            done.set_exception(_translated(failure))


def _engine(url: str) -> Engine:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "postgresql":
        return sa.create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    if parsed.database and parsed.database != ":memory:":
        path = Path(parsed.database)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    engine = sa.create_engine(parsed, poolclass=sa.StaticPool, connect_args={"check_same_thread": False})

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get("snapshot") else "BEGIN IMMEDIATE")

    return engine


def _revision(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return str(connection.scalar(sa.text("select version_num from alembic_version")))


def migrate(connection: Connection, revision: str = "head") -> None:
    """Bring the schema to that revision."""
    from alembic import command  # a fifth of a second that only a change of the schema has to pay
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
