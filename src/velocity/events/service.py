"""The event stream: collects changes, keeps them as events in one ring buffer, and sends them to readers.

A snapshot and its cursor are taken in one step. A reader that continues from there has, whenever nothing is in
progress, exactly what the API returns: `set` and `gone` carry the state of an object, so repetitions do no harm.
"""

from __future__ import annotations

from velocity.access.sessions import Sessions
from velocity.changes import Changes
from velocity.events.areas import Areas
from velocity.events.buffer import EventBuffer
from velocity.events.initial_state import InitialStates
from velocity.events.limits import StreamLimits
from velocity.events.readers import Readers
from velocity.events.wakeups import Wakeups
from velocity.events.writer import EventWriter


class Events:
    """The parts of the event stream, one of each for all readers."""

    def __init__(
        self,
        areas: Areas,
        sessions: Sessions,
        changes: Changes,
        limits: StreamLimits | None = None,
    ) -> None:
        limits = limits or StreamLimits()
        self.ring = EventBuffer(limits.most, limits.most_bytes)
        self.wakeups = Wakeups(limits.wake)
        self.writer = EventWriter(areas, changes, self.ring, self.wakeups, limits)
        self.initial_states = InitialStates(areas, self.writer, self.ring, limits)
        self.readers = Readers(areas.directory, sessions, self.ring, self.initial_states, self.wakeups, limits)

    async def settle(self) -> None:
        """Return when all changes are reported, except those that their pace delays, and nothing is being measured."""
        await self.initial_states.settle()
        await self.writer.settle()

    async def close(self) -> None:
        self.readers.end()
        self.writer.close()
        self.wakeups.close()
        await self.initial_states.close()
