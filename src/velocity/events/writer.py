"""Turns changes into events, at the end of the step in which they are announced, or when they are due again."""

from __future__ import annotations

import asyncio
import logging
from contextvars import Context

from velocity.changes import ChangeKind, Changes
from velocity.events.areas import Areas
from velocity.events.buffer import Audience, EventBody, EventBuffer
from velocity.events.limits import StreamLimits
from velocity.events.pending import PendingChanges
from velocity.events.renderer import EventRenderer
from velocity.events.wakeups import Wakeups

log = logging.getLogger(__name__)


class EventWriter:
    """Adds events to the ring buffer. While nobody reads, nothing is kept."""

    def __init__(
        self,
        areas: Areas,
        changes: Changes,
        ring: EventBuffer,
        wakeups: Wakeups,
        limits: StreamLimits,
    ) -> None:
        self.renderer = EventRenderer(areas, self._append)
        self._directory = areas.directory
        self._ring = ring
        self._wakeups = wakeups
        self._rendered = limits.rendered
        self._pending = PendingChanges(limits.pace)
        self._read = False
        self._flushing: asyncio.Handle | None = None
        self._later: asyncio.TimerHandle | None = None
        changes.set_listener(self._on_change)

    @property
    def is_due(self) -> bool:
        """Whether changes are due in the next step of the loop."""
        return self._flushing is not None

    def begin(self) -> None:
        """There is a reader: changes are kept from here on."""
        self._read = True

    async def settle(self) -> None:
        """Return when no change is due, in that very step."""
        more = self.flush()
        while more:
            await asyncio.sleep(0)
            more = self.flush()

    def close(self) -> None:
        for handle in (self._flushing, self._later):
            if handle is not None:
                handle.cancel()

    def _on_change(self, what: ChangeKind, which: object, gid: int) -> None:
        """Implements `velocity.changes.ChangeListener`."""
        if not self._read:
            return
        line = self._directory.line(self._directory.existing(gid))
        self._pending.add_change((what, which), tuple(line))
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_soon(self.flush, context=Context())

    def flush(self, *, whole: bool = False) -> bool:
        """Report what is due, each object in its present state. Of very many, the rest follows later (True)."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        loop = asyncio.get_running_loop()
        before = self._ring.head
        marked = self._pending.due(loop.time(), None if whole else self._rendered)
        for key, line in marked:
            try:
                self.renderer(key, line)
            except Exception:  # a bug of ours must not hold back other changes
                log.exception("that the %s %s has changed cannot be told", *key)
        rest = not whole and len(marked) == self._rendered
        if rest:
            self._flushing = loop.call_soon(self.flush, context=Context())
        if self._later is not None:
            self._later.cancel()
        due = self._pending.next()
        self._later = None if due is None else loop.call_at(due, self.flush, context=Context())
        if self._ring.head != before:
            self._wakeups.soon()
        return rest

    def _append(self, audience: Audience, name: bytes, body: EventBody | None) -> None:
        if body is not None:
            body = body.within(b"event: %s\ndata: " % name, b"\nid: %s\n\n" % self._ring.name(self._ring.head + 1))
        self._ring.append_event(audience, body)
