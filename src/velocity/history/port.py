"""What the history needs of the store."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from velocity.history.rules import HistoryEntry


class HistoryStore(Protocol):
    """Each call is one transaction. Entries are only ever added, counted up, and removed by age and number."""

    async def add(self, entries: Sequence[HistoryEntry]) -> Mapping[str, int]:
        """The hids of the refusals among them, by the ids of their requests."""

    async def count(self, times: Sequence[tuple[int, int]]) -> None:
        """(hid, times): how often these were refused by now."""

    async def newest(
        self,
        gids: Collection[int] | None,
        before: int | None,
        limit: int,
        uid: int | None,
        refused: bool | None,
        vmid: int | None,
    ) -> Sequence[tuple[int, HistoryEntry]]:
        """(hid, entry), the newest first. `gids` None: of all groups, also of those that are no more."""

    async def rotate(self, before: int, most: int, refusals: int) -> None:
        """Remove what is older than `before` (unix seconds), and the oldest beyond so many.

        Refusals have a number of their own: however many there are, nothing that was done goes for them. Nor does what
        others did for a user who has more than half: that user's own goes first.
        """
