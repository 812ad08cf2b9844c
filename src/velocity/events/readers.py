"""The readers of the stream: their number, and what each is sent."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence

from velocity.access.directory import Directory
from velocity.access.sessions import Caller, Sessions
from velocity.contract import events
from velocity.contract.problems import Problem, Refused
from velocity.events.buffer import BufferedEvent, EventBuffer
from velocity.events.initial_state import InitialStates
from velocity.events.limits import StreamLimits
from velocity.events.renderer import encode
from velocity.events.wakeups import Wakeups

AT_ONCE = 500
"""Events that a reader takes from the ring buffer in one step."""


class Readers:
    """The readers of one server, counted by user."""

    def __init__(
        self,
        directory: Directory,
        sessions: Sessions,
        ring: EventBuffer,
        initial_states: InitialStates,
        wakeups: Wakeups,
        limits: StreamLimits,
    ) -> None:
        self.directory = directory
        self.sessions = sessions
        self.ring = ring
        self.initial_states = initial_states
        self.wakeups = wakeups
        self.limits = limits
        self.ending = False
        self._counted: Counter[int] = Counter()

    @property
    def count(self) -> int:
        """The number of readers."""
        return self._counted.total()

    def end(self) -> None:
        """The server is shutting down: end all streams, and refuse new ones."""
        self.ending = True
        self.wakeups.now()

    def admit(self, caller: Caller) -> None:
        """Count one more reader, until `leave`. Raises `Refused(UNAVAILABLE)`, `Refused(TOO_MANY_ATTEMPTS)`."""
        if self.ending:
            raise Refused(Problem.UNAVAILABLE, "the server is shutting down: connect again in a moment")
        if self._counted[caller.uid] >= self.limits.own:
            raise Refused(
                Problem.TOO_MANY_ATTEMPTS,
                f"you have {self.limits.own} event streams open, the most that one user may have (event_streams): "
                "close one first",
            )
        if self.count >= self.limits.readers:
            raise Refused(
                Problem.TOO_MANY_ATTEMPTS,
                f"all {self.limits.readers} event streams of this server are in use: try again later",
            )
        self._counted[caller.uid] += 1

    def leave(self, caller: Caller) -> None:
        """An admitted reader has left."""
        self._counted[caller.uid] -= 1
        if not self._counted[caller.uid]:
            del self._counted[caller.uid]

    def reader(self, caller: Caller, last: str) -> StreamReader:
        """For an admitted reader, who continues after the event `last`."""
        return StreamReader(self, caller, self.ring.find(last))


class StreamReader:
    """One reader: a cursor, None before the first snapshot."""

    def __init__(self, readers: Readers, caller: Caller, cursor: int | None) -> None:
        self._readers = readers
        self._caller = caller
        self._cursor = cursor

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """What is sent, as it comes; permissions are checked at the moment of sending."""
        readers = self._readers
        loop = asyncio.get_running_loop()
        sent = loop.time()
        while (reason := self._over()) is None:
            entries = self._entries()
            if entries is None:
                async with readers.initial_states.beginning(self._caller.uid):
                    if self._over() is not None:
                        continue
                    data, self._cursor = readers.initial_states.take(self._caller.uid)
                more = True
            else:
                data, more = self._next(entries)
            if data:
                yield data
                sent = loop.time()
            if more:
                continue
            if not await readers.wakeups.wait(until=sent + readers.limits.life):
                yield self._sign_of_life()
                sent = loop.time()
        yield bye(reason)

    def _over(self) -> events.Farewell | None:
        if self._readers.ending:
            return "shutting down"
        return None if self._readers.sessions.still_signed_in(self._caller) else "signed out"

    def _entries(self) -> list[BufferedEvent] | None:
        """The next events in the ring buffer; None: a snapshot is needed."""
        entries = None if self._cursor is None else self._readers.ring.since(self._cursor, AT_ONCE)
        held, uid = self._readers.directory.held(self._caller.uid), self._caller.uid
        if entries is None or any(one.body is None and one.audience.may_receive(uid, held) for one in entries):
            return None
        return entries

    def _next(self, entries: list[BufferedEvent]) -> tuple[bytes, bool]:
        """What to send, and whether there may be more already."""
        uid = self._caller.uid
        if entries:
            self._cursor = entries[-1].seq
        return b"".join(frames(entries, uid, self._readers.directory.held(uid))), bool(entries)

    def _sign_of_life(self) -> bytes:
        """With an id, so that a reader who receives nothing else for long can still continue from there."""
        place = b"" if self._cursor is None else b"id: %s\n" % self._readers.ring.name(self._cursor)
        return b"event: alive\n%sdata: %s\n\n" % (place, encode(events.Alive()))


def frames(entries: Sequence[BufferedEvent], uid: int, held: Mapping[int, int]) -> Iterator[bytes]:
    return (one.body.frame(held) for one in entries if one.body is not None and one.audience.may_receive(uid, held))


def bye(reason: events.Farewell) -> bytes:
    return b"event: bye\ndata: %s\n\n" % encode(events.Bye(reason=reason))
