"""Repeated refusals: the first of a minute is an entry, and later ones are counted in it.

Whoever is nobody gets one entry an address and minute, whatever is asked; of a user, what is the same is counted. Who
asks too much is refused for how much it is: what it was about makes no difference then.
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
    """One entry. `hid` is None until it is stored; `lost`: it never will be."""

    hid: int | None = None
    times: int = 1
    lost: bool = False


class Refusals:
    """Those of one minute, `most` of them apart: what further addresses ask then is counted together."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._minute = 0
        self._counted: dict[Hashable, Counted] = {}
        self._unstored: dict[str, Counted] = {}
        """By the ids of their requests."""
        self._grown: dict[int, Counted] = {}
        """Those whose number the store does not know, by their own ids in memory."""

    @property
    def have_grown(self) -> bool:
        return bool(self._grown)

    def first(self, entry: HistoryEntry) -> HistoryEntry | None:
        """The entry that is to be written; None: it was counted in one that is."""
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
        """Under which ids entries are stored, by the ids of their requests."""
        for request, hid in hids.items():
            if (counted := self._unstored.pop(request, None)) is not None:
                counted.hid = hid

    def take_grown(self) -> list[Counted]:
        """Those stored whose number has grown since it was taken."""
        taken = [one for one in self._grown.values() if one.hid is not None]
        for one in taken:
            del self._grown[id(one)]
        return taken

    def give_back(self, taken: Sequence[Counted]) -> None:
        """The store does not know their number after all."""
        self._grown.update((id(one), one) for one in taken)

    def lost(self, requests: Sequence[str]) -> None:
        """These entries will not be stored: what they counted is in none, and the next ones are entries again."""
        for request in requests:
            if (counted := self._unstored.pop(request, None)) is not None:
                counted.lost = True
                self._grown.pop(id(counted), None)


def _occasion(entry: HistoryEntry) -> Hashable:
    """What counts as the same."""
    address = network(entry.address)
    if entry.status == NOBODY and entry.uid is None:
        return address
    return address, entry.uid, entry.name, entry.operation, entry.target, entry.code
