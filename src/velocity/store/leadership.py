"""Who may write: one server at a time leads a database, and notices when it no longer does.

A lock keeps a second server from starting. The proof is the term: each start takes the next one, and each transaction
that writes names its own (`store/database.py`), so that a displaced server cannot write, whatever happened to its lock.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy import Connection, bindparam
from sqlalchemy.engine import Engine

from velocity.file_lock import Busy as Busy
from velocity.file_lock import FileLock as FileLock
from velocity.store.engine import file_of
from velocity.store.errors import DatabaseError
from velocity.store.postgresql import backend
from velocity.store.prepared import Prepared
from velocity.store.tables import leadership

log = logging.getLogger(__name__)

LEADER = 0x56454C4F
"""The advisory lock that the leading server holds in PostgreSQL."""
SIGN_OF_LIFE = {"tcp_keepalives_idle": 2, "tcp_keepalives_interval": 1, "tcp_keepalives_count": 3}
"""How fast PostgreSQL notices that the lock holder's machine is unreachable, and frees the lock for a standby.

https://www.postgresql.org/docs/current/runtime-config-connection.html#RUNTIME-CONFIG-TCP-SETTINGS
"""
POOLER = (
    "this database is behind a connection pooler that changes sessions between transactions, where locks do not "
    "hold: connect to PostgreSQL directly, or configure the pooler to keep sessions (pgbouncer: pool_mode = session)"
)

_this = leadership.c.id == 1
_next_term = (
    sa.update(leadership)
    .where(_this)
    .values(term=leadership.c.term + 1)
    .returning(leadership.c.term, leadership.c.written)
)
_now = sa.select(leadership.c.term, leadership.c.written).where(_this)
_held = _now.with_for_update()
_write = Prepared(
    sa.update(leadership).where(_this & (leadership.c.term == bindparam("mine"))).values(written=bindparam("number"))
)

_pid = sa.select(sa.func.pg_backend_pid())
_holding = sa.text(
    "select exists (select from pg_locks where locktype = 'advisory' and granted and objid = :lock"
    " and pid = pg_backend_pid() and pid = :pid)"
)


class LeadershipLost(Exception):
    """Another server has taken over; this one can no longer write."""


class Leadership(Protocol):
    """A database's lock. Its methods are called by one thread at a time."""

    def take(self) -> None:
        """Take the lock. Raises `Busy`, `DatabaseError`, and `sqlalchemy.exc.DBAPIError`."""

    def look(self) -> bool:
        """Whether the lock was held without interruption. If not, tries to take it again. Never raises."""

    def close(self) -> None:
        """Release the lock."""


class Term:
    """The server's term, and the number of its last transaction."""

    def __init__(self) -> None:
        self._mine = 0
        self._number = 0

    @property
    def mine(self) -> int:
        """0 if it has none yet, as while the disk is full."""
        return self._mine

    @property
    def taken(self) -> bool:
        return self._mine > 0

    def take(self, engine: Engine) -> None:
        """Take the next term: the server with the previous one can no longer write."""
        with engine.begin() as connection:
            mine, number = connection.execute(_next_term).one()
        self._mine, self._number = mine, number

    def prove(self, connection: Connection) -> int:
        """Number a transaction at its beginning; returns the number. Raises `LeadershipLost`."""
        self._number += 1
        done = _write.execute(connection, {"mine": self._mine, "number": self._number})
        if done.rowcount != 1:
            raise LeadershipLost
        return self._number

    def fence(self, connection: Connection) -> int:
        """The number of the last committed transaction. Waits for one whose commit is under way; once this transaction
        is committed, no earlier one can be any more. Raises `LeadershipLost`.
        """
        term, number = connection.execute(_held).one()
        if term != self._mine:
            raise LeadershipLost
        self.prove(connection)
        return int(number)

    def holds(self, connection: Connection) -> bool:
        return not self.taken or bool(connection.execute(_now).one().term == self._mine)


def lock_of(engine: Engine) -> Leadership:
    if engine.dialect.name == "postgresql":
        return AdvisoryLock(engine)
    file = file_of(engine.url)
    return FileLock(None if file is None else file.with_name(file.name + ".lock"))


class AdvisoryLock:
    """An advisory lock of PostgreSQL, held by a session of its own.

    https://www.postgresql.org/docs/current/explicit-locking.html
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._session: Connection | None = None

    def take(self) -> None:
        session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            for name, value in SIGN_OF_LIFE.items():
                session.exec_driver_sql(f"set {name} = {value}")
            self._check_session(session)
            if not session.scalar(sa.select(sa.func.pg_try_advisory_lock(LEADER))):
                raise Busy
            if not self._holds(session):
                raise DatabaseError(POOLER)
        except BaseException:
            session.invalidate()
            session.close()
            raise
        self._session = session

    def _check_session(self, session: Connection) -> None:
        """Raises `DatabaseError` behind a connection pooler that shares or switches sessions."""
        own = session.scalar(_pid)
        with self._engine.connect() as other:  # in a transaction, which keeps its session
            if other.scalar(_pid) == own or session.scalar(_pid) != own:
                raise DatabaseError(POOLER)

    def _holds(self, session: Connection) -> bool:
        return bool(session.scalar(_holding, {"lock": LEADER, "pid": backend(session)}))

    def look(self) -> bool:
        with contextlib.suppress(sa.exc.SQLAlchemyError):
            if self._session is not None and self._holds(self._session):
                return True
        if self._session is not None:
            log.warning("the database session that holds the lock was lost: taking the lock again")
        self._drop()
        with contextlib.suppress(Busy, DatabaseError, sa.exc.SQLAlchemyError):
            self.take()
        return False

    def close(self) -> None:
        if self._session is not None:
            # otherwise it is freed only when PostgreSQL notices the end of the session, too late for an immediate start
            with contextlib.suppress(sa.exc.SQLAlchemyError):
                self._session.scalar(sa.select(sa.func.pg_advisory_unlock(LEADER)))
        self._drop()

    def _drop(self) -> None:
        """End the session: returned to the pool, it would keep the lock."""
        if self._session is not None:
            session, self._session = self._session, None
            with contextlib.suppress(sa.exc.SQLAlchemyError):
                session.invalidate()
                session.close()
