"""What the history needs of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from velocity.history.rules import HistoryEntry


class HistoryStore(Protocol):
    """Each call is one transaction. Entries are only added, counted up, and removed by age and number."""

    async def add(self, entries: Sequence[HistoryEntry]) -> Mapping[str, int]:
        """Add entries; returns the hids of the refusals among them, by the ids of their requests."""

    async def count(self, times: Sequence[tuple[int, int]]) -> None:
        """Set how often refusals were repeated, as (hid, times)."""

    async def newest(
        self,
        top: int | None,
        before: int | None,
        limit: int,
        uid: int | None,
        refused: bool | None,
        vmid: int | None,
    ) -> Sequence[tuple[int, HistoryEntry]]:
        """(hid, entry), the newest first: of the group `top` and all below it. None: of all, including deleted ones."""

    async def rotate(self, before: int, most: int, refusals: int) -> None:
        """Remove entries older than `before` (Unix seconds), and the oldest ones above the limits.

        Refusals have a limit of their own, so that they never displace changes. Entries of a user who has more than
        half go first, so that they do not displace those of others.
        """
