"""Repeated refusals: the first one in a minute becomes an entry, and later ones are counted in it.

Requests without a valid authkey give one entry for each address and minute. A user's are counted together if they are
alike; those refused for their number, whatever they asked for.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

from velocity.access.throttle import network
from velocity.history.rules import HistoryEntry

NOBODY, TOO_MUCH = 401, 429
OTHERS = "(other addresses)"


@dataclass
class Counted:
    """An entry and its count. `hid` is None until it is stored; `lost`: it will not be."""

    hid: int | None = None
    times: int = 1
    lost: bool = False


class Refusals:
    """The refusals of the present minute. `most` have entries of their own; those of further addresses share one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._minute = 0
        self._counted: dict[Hashable, Counted] = {}
        self._unstored: dict[str, Counted] = {}
        """Entries that are not stored yet, by the ids of their requests."""
        self._grown: dict[int, Counted] = {}
        """Stored entries whose count has grown since, by their ids in memory."""

    @property
    def have_grown(self) -> bool:
        return bool(self._grown)

    def first(self, entry: HistoryEntry) -> HistoryEntry | None:
        """The entry to write; None: it was counted in an earlier one."""
        if (minute := entry.at // 60) != self._minute:
            self._minute, self._counted = minute, {}
        if entry.status == TOO_MUCH:
            entry = replace(entry, target="", vmid=None)
        key = _occasion(entry)
        if key not in self._counted and len(self._counted) >= self._most:
            key, entry = OTHERS, replace(entry, address=OTHERS, name="", target="", uid=None, vmid=None)
        counted = self._counted.get(key)
        if counted is not None and not counted.lost:
            counted.times += 1
            self._grown[id(counted)] = counted
            return None
        self._counted[key] = self._unstored[entry.request] = Counted()
        return entry

    def stored(self, hids: Mapping[str, int]) -> None:
        """Note the hids of stored entries, by the ids of their requests."""
        for request, hid in hids.items():
            if (counted := self._unstored.pop(request, None)) is not None:
                counted.hid = hid

    def take_grown(self) -> list[Counted]:
        """The stored entries whose count has grown since the last call."""
        taken = [one for one in self._grown.values() if one.hid is not None]
        for one in taken:
            del self._grown[id(one)]
        return taken

    def give_back(self, taken: Sequence[Counted]) -> None:
        """The counts of these entries could not be stored: try again."""
        self._grown.update((id(one), one) for one in taken)

    def lost(self, requests: Sequence[str]) -> None:
        """These entries could not be stored. Their counts are lost, and the next refusals become entries again."""
        for request in requests:
            if (counted := self._unstored.pop(request, None)) is not None:
                counted.lost = True
                self._grown.pop(id(counted), None)


def _occasion(entry: HistoryEntry) -> Hashable:
    """What makes two refusals the same."""
    address = network(entry.address)
    if entry.status == NOBODY and entry.uid is None:
        return address
    return address, entry.uid, entry.name, entry.operation, entry.target, entry.code
