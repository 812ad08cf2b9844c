"""The database: opened by the server that leads, read at the start, written by a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from velocity import plan
from velocity.idempotency.port import PENDING, Pending
from velocity.outcome import Outcome
from velocity.store import engine, postgresql
from velocity.store.engine import READS, in_words
from velocity.store.errors import DatabaseError
from velocity.store.leadership import Term, lock_of
from velocity.store.reader import Reader
from velocity.store.tables import metadata, repeats
from velocity.store.writer import Writer

log = logging.getLogger(__name__)

HEAD = "0039"
"""The newest revision in migrations/versions."""
LOOK = 1.0
"""Seconds between two checks of the leadership: short enough to take a lost lock again before another server starts."""

T = TypeVar("T")


class Database:
    """The database of one server. What `write` returns is durable; what it refuses has changed nothing.

    Work runs in the writer's thread, one job after the other. Jobs that arrive during a commit share the next one, each
    in a savepoint of its own, so that a failure affects only one. Each transaction that writes proves the leadership.
    """

    def __init__(self, url: str) -> None:
        """Raises `DatabaseError` if the URL is wrong."""
        self.url = engine.parse(url)
        self._engine = engine.connect(self.url)
        self.lock = lock_of(self._engine)
        self.term = Term()
        self._turn = threading.RLock()
        """Held during each transaction: SQLite has only one connection."""
        self._writer = Writer(self._engine, self._turn, self.term)
        self.told = self._writer.told
        self._beside = engine.readers(self.url, self._engine)
        self._reader = None if self._beside is None else Reader(self._beside)
        self._watching: threading.Thread | None = None
        self._ends = threading.Event()

    @property
    def engine(self) -> Engine:
        return self._engine

    @property
    def waiting(self) -> int:
        """How many jobs wait for the writer."""
        return self._writer.waiting

    # The start

    def open(self, begin: Callable[[str], None] = lambda what: None) -> None:
        """Take the leadership, and upgrade the schema to the newest revision.

        `begin` is called before an installation is created in a database without one, with words for what was found; it
        may raise. Raises `Busy`, `DatabaseError`.
        """
        with in_words(self.url):
            self.lock.take()
            self._check_rights(owner=False)
            if what := self._emptiness():
                begin(what)
            file = engine.file_of(self.url)
            if file is not None and not file.exists():
                os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
            engine.prepare(self._engine)
            with self._engine.begin() as connection:
                revision = revision_of(connection)
                if revision != HEAD:
                    self._check(revision)
                    self._check_rights(owner=True)
                    migrate(connection)
            self._take_term()

    def _take_term(self) -> None:
        """On a full disk, the first write takes the term: a server that can only read can still stop VMs."""
        try:
            self.term.take(self._engine)
        except sa.exc.OperationalError as error:
            if not engine.is_full(error):
                raise
            log.warning("the disk of the database is full: changes are not possible until space is freed")

    def _emptiness(self) -> str:
        """Why the database holds no installation, in words; empty if it holds one. Changes nothing."""
        file = engine.file_of(self.url)
        if file is not None and not file.exists():
            return f"the database {file} is missing"
        if file is not None and file.is_file() and not file.stat().st_size:
            return f"the database {file} is empty (0 bytes)"
        name = f"the database {self.url.database if file is None else file}"
        with self._turn, self._engine.connect().execution_options(**READS) as connection, connection.begin():
            if revision_of(connection) is None:
                return f"{name} has no Velocity tables"
            there = connection.execute(sa.text("select 1 from users limit 1")).first()
            return "" if there else f"{name} has no users"

    def _check(self, revision: str | None) -> None:
        """Raises `DatabaseError` for the schema of a newer version, or another program's tables."""
        if revision is None or revision <= HEAD:
            return
        name = self.url.database
        if not re.fullmatch(r"\d{4}", revision):
            raise DatabaseError(
                f"the database {name} holds tables of another program: create a database of its own for Velocity"
            )
        raise DatabaseError(
            f"the database {name} belongs to a newer version of Velocity (schema {revision}; this version supports "
            f"{HEAD}): install that version"
        )

    def _check_rights(self, *, owner: bool) -> None:
        if self.url.get_backend_name() == "postgresql":
            with self._engine.connect() as connection:
                postgresql.check_rights(connection, self.url, metadata.sorted_tables, owner=owner)

    # The leadership

    def watch(self, lost: Callable[[], None]) -> None:
        """Check the leadership from now on. Calls `lost` in the loop when it is lost."""
        self._writer.when_lost(lost)
        self._watching = threading.Thread(target=self._look_ever, name="leadership", daemon=True)
        self._watching.start()

    @property
    def lost(self) -> bool:
        """Whether another server has taken over."""
        return self._writer.lost

    def _look_ever(self) -> None:
        while not self._ends.wait(LOOK) and not self.lost:
            try:
                if not self.lock.look():
                    self.doubt()
            except Exception:  # a bug of ours, which the next check may not meet
                log.exception("the leadership of the database could not be checked")

    def doubt(self, sure: str = "") -> None:
        """Check now whether another server leads, as somebody claims. Blocks; called in a thread.

        `sure`: the reason to end without a check, as the other server leads a copy of the database.
        """
        if sure:
            self._writer.lose(sure)
        with self._turn, contextlib.suppress(sa.exc.DBAPIError):
            if not self._ends.is_set() and not self.lost and not self.read(self.term.holds):
                self._writer.lose()

    # Work

    def read_consistent(self, work: Callable[[Connection], T]) -> T:
        """Read all tables in one snapshot, without delaying writers. Raises `DatabaseError`."""
        options: dict[str, Any] = {**READS}
        if self._engine.dialect.name == "postgresql":
            options["isolation_level"] = "REPEATABLE READ"
        with (
            in_words(self.url),
            self._turn,
            self._engine.connect().execution_options(**options) as connection,
            connection.begin(),
        ):
            return work(connection)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Read in the caller's thread. Only for the start: waiting for a commit under way would block the loop."""
        with self._turn, self._engine.begin() as connection:
            return work(connection)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction, and return its result once it is durable. A plan ends here.

        Raises what `work` raises; `Refused(UNAVAILABLE)` if the database does not respond (a full disk, a lock), and
        has then changed nothing; `OutcomeUnknown` if the server ends before it is known whether the commit succeeded.
        """
        plan.stop_here()
        pending = PENDING.get()
        return await self._queue(work if pending is None or pending.noted else _noting(pending, work))

    async def aside(self, work: Callable[[Connection], T]) -> T:
        """Write what is not part of a request's change: the run of a VM, or a record of our own."""
        return await self._queue(work)

    async def look(self, work: Callable[[Connection], T]) -> T:
        """Read through the writer. Works on a full disk, and while another process holds the database."""
        return await self._queue(work, reads=True)

    async def page(self, work: Callable[[Connection], T]) -> T:
        """Read many rows without delaying writers."""
        if self._reader is None:
            return await self.look(work)
        self._writer.check()
        return await self._reader.run(work)

    async def _queue(self, work: Callable[[Connection], T], *, reads: bool = False) -> T:
        result: T = await self._writer.put(work, reads=reads)
        return result  # if the caller is cancelled, the job continues: only its future is cancelled

    @property
    def outcome(self) -> Outcome:
        """Whether the outcome of the last commit is known."""
        return self._writer.outcome

    async def close(self) -> None:
        self._ends.set()
        if self._reader is not None:
            await asyncio.to_thread(self._reader.close)
        await asyncio.to_thread(self._writer.close)
        for _ in range(self.told.waiting):
            await asyncio.sleep(0)
        if self._watching is not None:
            await asyncio.to_thread(self._watching.join)
        self.lock.close()
        await asyncio.to_thread(self._dispose)

    def _dispose(self) -> None:
        with self._turn:  # `doubt` may still be running
            if self._beside is not None:
                self._beside.dispose()
            self._engine.dispose()


def _noting(pending: Pending, work: Callable[[Connection], T]) -> Callable[[Connection], T]:
    """The work together with the record that its request was carried out, in one transaction."""

    def both(connection: Connection) -> T:
        if pending.noted:  # another job of the same request has written it
            return work(connection)
        row = {"uid": pending.uid, "key": pending.key, "fingerprint": pending.fingerprint}
        connection.execute(sa.delete(repeats).where((repeats.c.uid == pending.uid) & (repeats.c.key == pending.key)))
        connection.execute(sa.insert(repeats).values(**row, at=int(time.time())))
        result = work(connection)
        pending.noted = True
        return result

    return both


def revision_of(connection: Connection) -> str | None:
    """The schema's revision; None if there are no tables of ours."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return str(connection.scalar(sa.text("select version_num from alembic_version")))


def migrate(connection: Connection, revision: str = "head") -> None:
    """Upgrade the schema to this revision."""
    from alembic import command  # takes a fifth of a second, which only an upgrade has to pay
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
