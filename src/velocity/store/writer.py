"""The writer's thread: jobs that arrive together share a commit; the outcome of a lost commit is found out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from velocity import priority
from velocity.contract.problems import OutcomeUnknown, Problem, Refused
from velocity.outcome import Outcome
from velocity.store import engine, postgresql
from velocity.store.engine import READS
from velocity.store.leadership import LeadershipLost, Term

log = logging.getLogger(__name__)

MOST_TOGETHER = 128
"""Writes that share a transaction."""
AT_ONCE = 2
"""Callers that continue in one step of the loop while others ask: for creations, that takes half a millisecond."""
SOONEST, LATEST = 0.05, 1.0
"""Seconds between attempts to find out an outcome: the first pause, and the longest one after doubling."""
PATIENCE = 2
"""Seconds to wait for the lock of a lost session; then that session is ended."""
AFTERMATH = 1.0
"""Seconds for which new work fails at once after a wait in vain, as it would wait for the same."""
UNAVAILABLE = "the database does not respond; nothing was changed: try again later"
LOST = "another server has taken over this database, and this one is ending; nothing was changed"

_Outcome = tuple[Any, BaseException | None]
"""The outcome of a job: its result, or its error."""


class Job(NamedTuple):
    """`reads`: it changes nothing."""

    work: Callable[[Connection], Any]
    done: asyncio.Future[Any]
    reads: bool


class Writer:
    """Runs jobs one after the other; those that arrive during a commit share the next one.

    If the response to a commit is lost, its outcome is found out before anything else: its jobs wait for that, and new
    ones are refused at once.
    """

    def __init__(self, reached: Engine, turn: threading.RLock, term: Term) -> None:
        """`turn` is held while the connection is in use."""
        self._engine = reached
        self._turn = turn
        self._term = term
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ends = threading.Event()
        self._failed = {True: float("-inf"), False: float("-inf")}
        """When a transaction could last not be begun, for reads and for writes (monotonic time)."""
        self._refusal = ""
        """Why all work is refused at the moment; empty if it is not."""
        self._lost = False
        self._when_lost: Callable[[], None] = lambda: None
        self.told = Told()
        self.outcome = Outcome()

    def check(self) -> None:
        """Raises `Refused(UNAVAILABLE)` if work would fail anyway."""
        if self._refusal:
            raise Refused(Problem.UNAVAILABLE, self._refusal)

    def put(self, work: Callable[[Connection], Any], *, reads: bool) -> asyncio.Future[Any]:
        """Queue a job. Raises `Refused(UNAVAILABLE)` if it would fail anyway."""
        self.check()
        self._loop = asyncio.get_running_loop()
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="store", daemon=True)
            thread.start()
            self._thread = thread
        done: asyncio.Future[Any] = self._loop.create_future()
        self._jobs.put(Job(work, done, reads))
        self.told.unanswered += 1
        return done

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return self._jobs.qsize()

    def close(self) -> None:
        """Finish what is under way. Blocks; called in a thread."""
        self._ends.set()
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()

    # The leadership

    def when_lost(self, call: Callable[[], None]) -> None:
        """Have `call` called in the loop when another server has taken over."""
        self._loop, self._when_lost = asyncio.get_running_loop(), call

    @property
    def lost(self) -> bool:
        return self._lost

    def lose(self, why: str = LOST) -> None:
        if not self._lost:
            log.error("%s", why)
            self._lost, self._refusal = True, why
            self._tell(self._when_lost)

    # The writer's thread

    def _run(self) -> None:
        priority.raise_thread()
        while (first := self._jobs.get()) is not None:
            jobs, ends = self._waiting(MOST_TOGETHER - 1)
            jobs.insert(0, first)
            for reads in (True, False):  # in separate transactions, as reads may work when writes do not
                if group := [job for job in jobs if job.reads is reads]:
                    self._serve(group)
            if ends:
                return

    def _waiting(self, most: int) -> tuple[list[Job], bool]:
        """Take the waiting jobs; returns them, and whether the end was requested."""
        jobs: list[Job] = []
        while len(jobs) < most:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return jobs, True
            jobs.append(job)
        return jobs, False

    def _serve(self, jobs: list[Job]) -> None:
        reads = jobs[0].reads
        if time.monotonic() - self._failed[reads] < AFTERMATH:
            self._answer(jobs, None)
            return
        begun = time.monotonic()
        try:
            outcomes = self._transaction(jobs)
        except _NotBegun as error:
            if time.monotonic() - begun > AFTERMATH:
                self._failed[reads] = time.monotonic()
            self._answer(jobs, error.__cause__)
        except Exception as error:
            self._answer(jobs, error)
        else:
            self._settle(jobs, outcomes)

    def _transaction(self, jobs: list[Job]) -> list[_Outcome]:
        """Run the jobs in one transaction; returns their outcomes. Raises what undid all; `_NotBegun` if none began."""
        number = 0
        reads = jobs[0].reads
        with self._turn, contextlib.ExitStack() as held:
            try:
                if not reads and not self._term.taken:
                    self._term.take(self._engine)
                connection = held.enter_context(self._engine.connect())
                if reads:
                    connection = connection.execution_options(**READS)
                transaction = held.enter_context(_begun(connection))
                if not reads:
                    number = self._term.prove(connection)
            except LeadershipLost:
                self.lose()
                raise
            except Exception as error:
                raise _NotBegun from error
            outcomes = [_attempt(connection, job.work, alone=len(jobs) == 1) for job in jobs]
            if reads or (len(jobs) == 1 and outcomes[0][1] is not None):
                return outcomes
            session = postgresql.backend(connection)
            try:
                transaction.commit()
                return outcomes
            except Exception as error:
                if engine.is_full(error):
                    raise
                log.error("the answer to a commit was lost: %s", engine.cause(error))
                if session is not None:  # SQLite's session continues: its unfinished frames are undone and overwritten
                    connection.invalidate()
        committed = self._find_out(number, session)
        if committed is None:
            return [(None, OutcomeUnknown(OutcomeUnknown.message))] * len(jobs)
        return outcomes if committed else [(None, unavailable())] * len(jobs)

    def _find_out(self, number: int, session: int | None) -> bool | None:
        """Whether the transaction with this number was committed; None: the server ended before that was known."""
        found: bool | None = None
        pause = SOONEST
        while True:
            ends = self._ends.is_set()
            try:
                with self._turn, self._engine.connect() as connection, connection.begin():
                    if connection.dialect.name == "postgresql":
                        connection.execute(sa.text(f"set local lock_timeout = '{PATIENCE}s'"))
                    last = self._term.fence(connection)
                    if found is None:
                        found = last == number
            except LeadershipLost:
                self.lose()
                return None
            except Exception as error:
                log.warning("the outcome of a commit is not known yet: %s", engine.cause(error))
            else:
                log.warning("the transaction whose answer was lost was %s", "committed" if found else "undone")
                self._is_known()
                return found
            if ends:
                return None
            self._is_unknown()
            self._end_session(session)
            self._ends.wait(pause)
            pause = min(2 * pause, LATEST)

    def _is_unknown(self) -> None:
        if not self._refusal:
            self._refusal = UNAVAILABLE
            self._tell(self.outcome.is_lost)
        jobs, ends = self._waiting(self._jobs.qsize())
        if ends:
            self._jobs.put(None)
        self._answer(jobs, None)

    def _is_known(self) -> None:
        if self._refusal == UNAVAILABLE:
            self._refusal = ""
            self._tell(self.outcome.is_found)

    def _end_session(self, session: int | None) -> None:
        """End a session that has lost its client: it would hold its locks until TCP notices."""
        if session is not None:
            with contextlib.suppress(sa.exc.DBAPIError), self._engine.connect() as connection:
                connection.execute(sa.select(sa.func.pg_terminate_backend(session)))

    def _answer(self, jobs: list[Job], error: BaseException | None) -> None:
        self._settle(jobs, [(None, error or unavailable())] * len(jobs))

    def _settle(self, jobs: list[Job], outcomes: Sequence[_Outcome]) -> None:
        self._tell(self.told.add, [job.done for job in jobs], outcomes)

    def _tell(self, call: Callable[..., None], *arguments: Any) -> None:
        """Call it in the loop."""
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(call, *arguments)


class _NotBegun(Exception):
    """The database did not respond before any work began; see the cause."""


@contextlib.contextmanager
def _begun(connection: Connection) -> Iterator[sa.RootTransaction]:
    """A transaction, rolled back unless it was committed. Errors of the rollback do not matter: the session is dead."""
    transaction = connection.begin()
    try:
        yield transaction
    finally:
        with contextlib.suppress(sa.exc.DBAPIError):
            if transaction.is_active:
                transaction.rollback()


def _attempt(connection: Connection, work: Callable[[Connection], Any], *, alone: bool) -> _Outcome:
    """Run one job. Raises what ended the whole transaction."""
    try:
        if alone:
            return work(connection), None
        with connection.begin_nested():
            return work(connection), None
    except Exception as error:
        if not engine.in_transaction(connection):
            raise
        return None, error


def unavailable(cause: BaseException | None = None) -> Refused:
    refusal = Refused(Problem.UNAVAILABLE, UNAVAILABLE)
    refusal.__cause__ = cause
    return refusal


SILENT = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.InternalError, sa.exc.TimeoutError)
"""The driver's errors for a database that does not respond."""


def _translated(failure: BaseException) -> BaseException:
    if isinstance(failure, LeadershipLost):
        return Refused(Problem.UNAVAILABLE, LOST)
    if isinstance(failure, SILENT):
        return unavailable(failure)
    return failure


class Told:
    """Gives the jobs' callers their outcomes, in the order of the jobs. For use in the loop only.

    Those that shared a commit continue in one step of the loop, and so can share the next commit, too; while there are
    others that `ask`, in several steps, so that these are not delayed.
    """

    def __init__(self) -> None:
        self.ask: Callable[[], bool] = lambda: True
        self.unanswered = 0
        """Jobs whose callers have not been given an outcome."""
        self._waiting: deque[tuple[asyncio.Future[Any], _Outcome]] = deque()
        self._stepping = False

    @property
    def waiting(self) -> int:
        """Callers whose outcome is known but not given yet."""
        return len(self._waiting)

    def add(self, futures: Sequence[asyncio.Future[Any]], outcomes: Sequence[_Outcome]) -> None:
        self._waiting.extend(zip(futures, outcomes, strict=True))
        if not self._stepping:
            self._step()

    def _step(self) -> None:
        told, most = 0, AT_ONCE if self.ask() else len(self._waiting)
        while self._waiting and told < most:
            done, (result, failure) = self._waiting.popleft()
            self.unanswered -= 1
            if done.cancelled():
                continue
            told += 1
            if failure is None:
                done.set_result(result)
            else:
                done.set_exception(_translated(failure))
        self._stepping = bool(self._waiting)
        if self._stepping:
            asyncio.get_running_loop().call_soon(self._step, context=Context())  # behind those that continue now
