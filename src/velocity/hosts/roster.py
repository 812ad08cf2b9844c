"""The list of hosts, in memory: names are unique, and no id is reused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

from velocity.changes import Changes
from velocity.contract.problems import Problem, Refused
from velocity.hosts.members import OWN_NAME, Member, MemberRows
from velocity.hypervisor.port import HostId


class Roster:
    """The hosts. `own` is the one that the server runs on, called `own_name` until it is given another name."""

    def __init__(self, changes: Changes, own: HostId, own_name: str) -> None:
        self._changes = changes
        self._own_name = own_name
        self.own = own
        self._members = {own: Member(own, own_name, own=True)}
        self._taken: set[str] = set()
        """Names that are claimed and not yet stored."""
        self._last = int(own)
        self._last_pool = 0

    def load(self, rows: MemberRows) -> None:
        for one in rows.members:
            own = one.host == self.own
            name = self._own_name if own and one.name == OWN_NAME else one.called
            self._members[one.host] = replace(one, name=name, own=own)
        self._last = rows.last
        self._last_pool = rows.last_pool

    def __iter__(self) -> Iterator[Member]:
        return iter(sorted(self._members.values(), key=lambda one: one.host))

    def find(self, host: object) -> Member | None:
        return self._members.get(HostId(host)) if isinstance(host, int) else None

    def get(self, host: object) -> Member:
        found = self.find(host)
        if found is None:
            raise Refused(
                Problem.HOST_NOT_FOUND, f"there is no host {host}: `velocity node list` shows them", field="host"
            )
        return found

    def of(self, uuid: UUID) -> Member | None:
        return next((one for one in self._members.values() if one.uuid == uuid), None)

    def next_id(self) -> HostId:
        self._last += 1
        return HostId(self._last)

    def free_pool(self) -> int:
        """A new number for the pool of a host. None is given twice, as media may still be in an earlier pool."""
        declared = {pool.mpid for one in self._members.values() if one.known for pool in one.known.pools}
        given = {one.mpid for one in self._members.values()}
        self._last_pool = max(declared | given | {1, self._last_pool}) + 1
        return self._last_pool

    def pools_of(self, member: Member) -> set[int]:
        """The numbers of the pools that only this host declares."""
        declared = {one.host: {pool.mpid for pool in one.known.pools} for one in self if one.known}
        return declared.pop(member.host, set()).difference(*declared.values())

    def put(self, member: Member) -> None:
        """Add this host, or replace what was known of it."""
        self._members[member.host] = member
        self.tell(member.host)

    def tell(self, host: HostId) -> None:
        """Announce that something shown of this host has changed."""
        self._changes.note_change("host", host)

    def change(self, host: HostId, **fields: Any) -> Member:
        """Replace these fields alone: others may have changed since the caller read the host. Returns the host as it is
        now.
        """
        changed = replace(self.get(host), **fields)
        self.put(changed)
        return changed

    def drop(self, host: HostId) -> None:
        del self._members[host]
        self.tell(host)

    @contextmanager
    def claim(self, name: str, host: HostId | None) -> Iterator[None]:
        """Within, nobody else can take this name. Raises `Refused` if another host has it."""
        others = {one.name for one in self._members.values() if one.host != host}
        if name in others | self._taken:
            raise Refused(Problem.NODE_NAME_TAKEN, f"there is another host {name!r}: choose another name", field="name")
        self._taken.add(name)
        try:
            yield
        finally:
            self._taken.discard(name)
