"""The event stream: collects changes from the areas, keeps them in one ring, and sends them to the readers.

A snapshot and its cursor are taken in one step. A reader that follows from there holds, whenever nothing is under way,
what the API says: `set` and `gone` name the state of an object, so that to hear one twice does no harm.
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
    """What the stream is made of, one of each for all readers."""

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
        """Returns when what has changed is told, but for what waits for its pace, and no look at the disk is taken."""
        await self.initial_states.settle()
        await self.writer.settle()

    async def close(self) -> None:
        self.readers.end()
        self.writer.close()
        self.wakeups.close()
        await self.initial_states.close()
