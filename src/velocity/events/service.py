"""The stream of events: hears what the areas tell, keeps it in one ring, and carries it to each reader.

A snapshot and its cursor are taken in one step. A reader that follows from there holds, whenever nothing is under way,
what the API says: `set` and `gone` name the state of an object, so that to hear one twice does no harm.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from dataclasses import dataclass, field
from itertools import islice

from velocity.access.directory import Directory
from velocity.access.sessions import Caller, Sessions
from velocity.changes import Changes, What
from velocity.contract import events
from velocity.contract.problems import Problem, Refused
from velocity.events.marks import Marks
from velocity.events.ring import Audience, Body, Entry, Ring
from velocity.events.snapshot import Sight
from velocity.events.telling import Telling, encode
from velocity.machines.service import Fleet
from velocity.media.service import Library
from velocity.tasks.service import Tasks

AT_ONCE = 500
"""Events that a reader takes from the ring in one step."""
WOKEN = 8
"""Readers that are woken in one step of the loop, each in about 0.1 ms: requests come between."""


@dataclass(frozen=True)
class Terms:
    """The measures of the stream. Times are in seconds.

    `wake` is between two wakings of the readers, `life` from one sign of life to the next, `patience` what one send may
    take, `farewell` what a last word may, `measure` between two looks at what media take on the disk; `pace` is between
    two events of the same thing (the rest is told at once). `most` events in `most_bytes` are kept; `readers` there may
    be in all, `own` of one user. `rendered` objects are rendered in one step of the loop, each in about 0.05 ms.
    """

    wake: float = 0.02
    life: float = 15.0
    patience: float = 30.0
    farewell: float = 1.0
    measure: float = 60.0
    pace: Mapping[What, float] = field(
        default_factory=lambda: {"task": 0.2, "quota": 0.2, "pool": 0.2, "trash": 0.2, "history": 1.0}
    )
    most: int = 20_000
    most_bytes: int = 64 << 20
    readers: int = 1024
    own: int = 16
    rendered: int = 100


class Events:
    """One for all readers. Until somebody reads, nothing is kept."""

    def __init__(
        self,
        directory: Directory,
        sessions: Sessions,
        changes: Changes,
        library: Library,
        fleet: Fleet,
        tasks: Tasks,
        terms: Terms | None = None,
    ) -> None:
        self._directory = directory
        self._sessions = sessions
        self._library = library
        self._fleet = fleet
        self._tasks = tasks
        self._instance = secrets.token_hex(4)
        self.terms = terms or Terms()
        self._ring = Ring(self.terms.most, self.terms.most_bytes)
        self._marks = Marks(self.terms.pace)
        self._telling = Telling(directory, library, fleet, tasks, self._append)
        self._readers: Counter[int] = Counter()
        self._beginning = asyncio.Lock()
        self._read = False
        self._flushing: asyncio.Handle | None = None
        self._later: asyncio.TimerHandle | None = None
        self._waiting: dict[asyncio.Future[bool], None] = {}
        self._waking: asyncio.TimerHandle | None = None
        self._woken = 0.0
        self._measuring: asyncio.Task[None] | None = None
        self._measured = float("-inf")
        self.ending = False
        changes.watched_by(self._hear)

    @property
    def readers(self) -> int:
        """How many read now."""
        return self._readers.total()

    @property
    def head(self) -> int:
        """The number of the newest event."""
        return self._ring.head

    @property
    def telling(self) -> bool:
        """Whether something has changed that is to be told in the next step of the loop."""
        return self._flushing is not None

    async def settle(self) -> None:
        """Returns when what has changed is told, but for what waits for its pace, and no look at the disk is taken."""
        while self._measuring is not None:
            await asyncio.wait({self._measuring})
        await self._told()

    def end(self) -> None:
        """The server is about to end: readers are told, and there are no new ones."""
        self.ending = True
        self._wake()

    async def close(self) -> None:
        self.end()
        for handle in (self._flushing, self._later, self._waking):
            if handle is not None:
                handle.cancel()
        if self._measuring is not None:
            self._measuring.cancel()
            await asyncio.wait({self._measuring})

    # What is told

    def _hear(self, what: What, which: object, gid: int) -> None:
        """Keeps `velocity.changes.Watcher`."""
        if not self._read:
            return
        line = self._directory.line(self._directory.existing(gid))
        self._marks.mark((what, which), tuple(line))
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_soon(self._flush, context=Context())

    def _flush(self, *, whole: bool = False) -> bool:
        """Tell what is due, each thing as it is at this moment. Of very much, the rest in the next steps (True)."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        loop = asyncio.get_running_loop()
        before = self._ring.head
        marked = self._marks.due(loop.time(), None if whole else self.terms.rendered)
        for key, line in marked:
            self._telling(key, line)
        rest = not whole and len(marked) == self.terms.rendered
        if rest:
            self._flushing = loop.call_soon(self._flush, context=Context())
        if self._later is not None:
            self._later.cancel()
        due = self._marks.next()
        self._later = None if due is None else loop.call_at(due, self._flush, context=Context())
        if self._ring.head != before:
            self._wake_soon()
        return rest

    def _append(self, audience: Audience, name: bytes, body: Body | None) -> None:
        if body is not None:
            body = body.within(b"event: %s\ndata: " % name, b"\nid: %s\n\n" % self.name(self._ring.head + 1))
        self._ring.append(audience, body)

    def name(self, cursor: int) -> bytes:
        """The id of an event."""
        return f"{self._instance}-{cursor}".encode()

    # Readers

    def cursor(self, name: str) -> int | None:
        """Where the event of that id is in the ring; None: it is not there (any more), or of an earlier server."""
        instance, _, number = name.rpartition("-")
        if instance != self._instance or not (number.isascii() and number.isdigit() and len(number) < 20):
            return None
        return int(number) if self._ring.knows(int(number)) else None

    def admit(self, caller: Caller) -> None:
        """Count one more reader, until he leaves. Raises `Refused(UNAVAILABLE)`, `Refused(TOO_MANY_ATTEMPTS)`."""
        if self.ending:
            raise Refused(Problem.UNAVAILABLE, "the server is shutting down: connect again in a moment")
        if self._readers[caller.uid] >= self.terms.own:
            raise Refused(
                Problem.TOO_MANY_ATTEMPTS,
                f"you have {self.terms.own} streams of events open, and no more are allowed (event_streams): close "
                "one first",
            )
        if self.readers >= self.terms.readers:
            raise Refused(
                Problem.TOO_MANY_ATTEMPTS,
                f"all {self.terms.readers} streams of events of this server are open: try again later",
            )
        self._readers[caller.uid] += 1

    def leave(self, caller: Caller) -> None:
        """One who was admitted reads no more."""
        self._readers[caller.uid] -= 1
        if not self._readers[caller.uid]:
            del self._readers[caller.uid]

    def reader(self, caller: Caller, last: str) -> Reader:
        """Of one who was admitted, and goes on after the event `last`."""
        return Reader(self, caller, self.cursor(last))

    @asynccontextmanager
    async def beginning(self, uid: int) -> AsyncIterator[None]:
        """Within, a snapshot can be taken. One after the other, each in a step of its own: requests come between."""
        async with self._beginning:
            await self.ready(uid)
            yield

    async def ready(self, uid: int) -> None:
        """Before a snapshot: render what it would have to, in steps that others come between."""
        self._read = True
        keys = self._sight(uid).unrendered()
        await asyncio.sleep(0)
        for begin in range(0, len(keys), self.terms.rendered):
            await self._told()
            for key in keys[begin : begin + self.terms.rendered]:
                self._telling.render(key)
            await asyncio.sleep(0)
        await self._told()

    async def _told(self) -> None:
        """Returns when nothing is due to be told any more, in the very step."""
        more = self._flush()
        while more:
            await asyncio.sleep(0)
            more = self._flush()

    def snapshot(self, uid: int) -> tuple[bytes, int]:
        """The event of all that a user may see, and the cursor that it stands for: one step, without an await."""
        self._read = True
        self._measure_soon()
        self._flush(whole=True)
        cursor = self._ring.head
        data = encode(self._sight(uid).snapshot())
        return b"event: snapshot\ndata: %s\nid: %s\n\n" % (data, self.name(cursor)), cursor

    def _sight(self, uid: int) -> Sight:
        return Sight(self._directory, self._library, self._fleet, self._tasks, self._telling, uid)

    def since(self, cursor: int) -> list[Entry] | None:
        return self._ring.since(cursor, AT_ONCE)

    def held(self, uid: int) -> Mapping[int, int]:
        return self._directory.held(uid)

    def signed_in(self, caller: Caller) -> bool:
        return self._sessions.still_signed_in(caller)

    async def news(self, until: float) -> bool:
        """Returns when there may be more in the ring, or the server ends; False: it is `until` on the loop's clock."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[bool] = loop.create_future()
        self._waiting[waiting] = None
        timer = loop.call_at(until, _settle, waiting, False)
        try:
            return await waiting
        finally:
            timer.cancel()
            self._waiting.pop(waiting, None)

    def _wake_soon(self) -> None:
        """At once, or if that was just done, a little later: many changes wake the readers once."""
        loop = asyncio.get_running_loop()
        if self._waking is None:
            self._waking = loop.call_at(self._woken + self.terms.wake, self._wake, context=Context())

    def _wake(self) -> None:
        if self._waking is not None:
            self._waking.cancel()
            self._waking = None
        self._woken = asyncio.get_running_loop().time()
        waiting = list(self._waiting)
        self._waiting.clear()
        self._release(iter(waiting))

    def _release(self, waiting: Iterator[asyncio.Future[bool]]) -> None:
        turn = list(islice(waiting, WOKEN))
        for one in turn:
            _settle(one, True)
        if len(turn) == WOKEN:
            asyncio.get_running_loop().call_soon(self._release, waiting, context=Context())

    def _measure_soon(self) -> None:
        """Look what media take on the disk; nobody waits for it, and what has changed is told."""
        now = asyncio.get_running_loop().time()
        if self._measuring is None and now >= self._measured + self.terms.measure:
            self._measured = now
            self._measuring = asyncio.create_task(self._measure(), context=Context())

    async def _measure(self) -> None:
        try:
            await self._library.allocated(list(self._library.all()))
        finally:
            self._measuring = None


class Reader:
    """One who reads: a cursor, None before the first snapshot."""

    def __init__(self, service: Events, caller: Caller, cursor: int | None) -> None:
        self._events = service
        self._caller = caller
        self._cursor = cursor

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """What is to be sent, as it comes; rights are those of the moment in which it is given."""
        service = self._events
        loop = asyncio.get_running_loop()
        sent = loop.time()
        while (reason := self._over()) is None:
            entries = self._entries()
            if entries is None:
                async with service.beginning(self._caller.uid):
                    if self._over() is not None:
                        continue
                    data, self._cursor = service.snapshot(self._caller.uid)
                more = True
            else:
                data, more = self._next(entries)
            if data:
                yield data
                sent = loop.time()
            if more:
                continue
            if not await service.news(until=sent + service.terms.life):
                yield self._sign_of_life()
                sent = loop.time()
        yield bye(reason)

    def _over(self) -> events.Farewell | None:
        if self._events.ending:
            return "shutting down"
        return None if self._events.signed_in(self._caller) else "signed out"

    def _entries(self) -> list[Entry] | None:
        """What comes next in the ring; None: a snapshot is due."""
        entries = None if self._cursor is None else self._events.since(self._cursor)
        held, uid = self._events.held(self._caller.uid), self._caller.uid
        if entries is None or any(one.body is None and one.audience.hears(uid, held) for one in entries):
            return None
        return entries

    def _next(self, entries: list[Entry]) -> tuple[bytes, bool]:
        """What is to be sent, and whether there may be more already."""
        uid = self._caller.uid
        if entries:
            self._cursor = entries[-1].seq
        return b"".join(frames(entries, uid, self._events.held(uid))), bool(entries)

    def _sign_of_life(self) -> bytes:
        """A comment; with it the id, so that a reader that hears nothing for long need not begin anew."""
        return b":\n" if self._cursor is None else b":\nid: %s\n\n" % self._events.name(self._cursor)


def _settle(waiting: asyncio.Future[bool], news: bool) -> None:
    if not waiting.done():
        waiting.set_result(news)


def frames(entries: Sequence[Entry], uid: int, held: Mapping[int, int]) -> Iterator[bytes]:
    return (one.body.frame(held) for one in entries if one.body is not None and one.audience.hears(uid, held))


def bye(reason: events.Farewell) -> bytes:
    return b"event: bye\ndata: %s\n\n" % encode(events.Bye(reason=reason))
