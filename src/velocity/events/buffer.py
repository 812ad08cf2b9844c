"""The latest events in one ring buffer, limited in number and bytes; a reader is a position in it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from msgspec import Struct

from velocity.access import rules

Grants = Mapping[int, int]
"""A reader's own grants: gid -> permissions as bits."""


class Audience(Protocol):
    """Who may receive an event, by their permissions when it is sent."""

    def may_receive(self, uid: int, held: Grants) -> bool: ...


class HoldersUpward(Struct, frozen=True):
    """Everybody with one of these permissions on a group or one above. The line is recorded: the group may be gone."""

    bits: int
    line: Sequence[int]

    def may_receive(self, uid: int, held: Grants) -> bool:
        for gid in self.line:  # noqa: SIM110 - for each medium of a snapshot: `any` takes three times as long
            if held.get(gid, 0) & self.bits:
                return True
        return False


class HoldersNearby(Struct, frozen=True):
    """As `HoldersUpward`, and everybody with one of them on a group below."""

    bits: int
    line: Sequence[int]
    groups: rules.Groups

    def may_receive(self, uid: int, held: Grants) -> bool:
        if any(held.get(gid, 0) & self.bits for gid in self.line):
            return True
        below = (gid for gid, bits in held.items() if bits & self.bits and gid in self.groups)
        return self.line[0] in rules.with_above(self.groups, below)


class HoldersAnywhere(Struct, frozen=True):
    """Everybody with one of these permissions on any group."""

    bits: int

    def may_receive(self, uid: int, held: Grants) -> bool:
        return any(bits & self.bits for bits in held.values())


class OwnerOrHoldersUpward(Struct, frozen=True):
    """One user, and everybody with one of these permissions on a group or on one above. The line is recorded."""

    owner: int
    bits: int
    line: Sequence[int]

    def may_receive(self, uid: int, held: Grants) -> bool:
        return uid == self.owner or any(held.get(gid, 0) & self.bits for gid in self.line)


class TheseUsers(Struct, frozen=True):
    """These users."""

    uids: frozenset[int]

    def may_receive(self, uid: int, held: Grants) -> bool:
        return uid in self.uids


class EventBody(Protocol):
    """The data of an event."""

    @property
    def size(self) -> int: ...

    def frame(self, held: Grants) -> bytes: ...

    def within(self, before: bytes, after: bytes) -> EventBody:
        """The same data, surrounded by these."""


class Same(Struct, frozen=True):
    """The same for everybody, encoded once."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def frame(self, held: Grants) -> bytes:
        return self.data

    def within(self, before: bytes, after: bytes) -> EventBody:
        return Same(before + self.data + after)


@dataclass(frozen=True, slots=True)
class ByReader:
    """Encoded for each reader, by their permissions; about `length` bytes at most."""

    encoded: Callable[[Grants], bytes]
    length: int
    before: bytes = b""
    after: bytes = b""

    @property
    def size(self) -> int:
        return len(self.before) + self.length + len(self.after)

    def frame(self, held: Grants) -> bytes:
        return self.before + self.encoded(held) + self.after

    def within(self, before: bytes, after: bytes) -> EventBody:
        return replace(self, before=before + self.before, after=self.after + after)


class BufferedEvent(Struct, frozen=True):
    """One event. Without a body it says that what its audience may see has changed: they need a snapshot."""

    seq: int
    audience: Audience
    body: EventBody | None


class EventBuffer:
    """Numbers events from 1 and keeps the latest: `most` of them, or fewer if they exceed `most_bytes`.

    An event's id is the name of this ring buffer and the number: ids of another server are not recognized.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._name = secrets.token_hex(4)
        self._slots: list[BufferedEvent | None] = [None] * most
        self._most_bytes = most_bytes
        self.bytes = 0
        self.head = 0
        """The number of the latest event."""
        self._oldest = 1

    def append_event(self, audience: Audience, body: EventBody | None) -> BufferedEvent:
        self.head += 1
        entry = BufferedEvent(self.head, audience, body)
        if self.head - self._oldest >= len(self._slots):
            self._drop()
        self._slots[self.head % len(self._slots)] = entry
        self.bytes += body.size if body else 0
        while self.bytes > self._most_bytes and self._oldest < self.head:
            self._drop()
        return entry

    def name(self, cursor: int) -> bytes:
        """The id of an event."""
        return f"{self._name}-{cursor}".encode()

    def find(self, name: str) -> int | None:
        """The number of the event with that id; None: it is not kept any more, or from an earlier server."""
        ring, _, number = name.rpartition("-")
        if ring != self._name or not (number.isascii() and number.isdigit() and len(number) < 20):
            return None
        return int(number) if self.knows(int(number)) else None

    def knows(self, cursor: int) -> bool:
        """Whether all events after that one are still kept."""
        return self._oldest - 1 <= cursor <= self.head

    def since(self, cursor: int, most: int) -> list[BufferedEvent] | None:
        """The events after the cursor; None: some of them are not kept any more."""
        if not self.knows(cursor):
            return None
        slots = self._slots
        last = min(self.head, cursor + most)
        found = (slots[seq % len(slots)] for seq in range(cursor + 1, last + 1))
        return [entry for entry in found if entry is not None]

    def _drop(self) -> None:
        place = self._oldest % len(self._slots)
        entry = self._slots[place]
        self._slots[place] = None
        self._oldest += 1
        if entry is not None and entry.body is not None:
            self.bytes -= entry.body.size
