"""Work under way in groups, which has to end before they are deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager


class GroupWork:
    """One kind of such work. What begins after a group is hidden refuses itself."""

    def __init__(self) -> None:
        self._under_way: dict[asyncio.Event, int] = {}

    @contextmanager
    def of(self, gid: int) -> Iterator[None]:
        """Within, the group is not deleted."""
        ended = asyncio.Event()
        self._under_way[ended] = gid
        try:
            yield
        finally:
            del self._under_way[ended]
            ended.set()

    async def ended(self, gids: Collection[int]) -> None:
        """Returns in the step in which no work is under way in these groups."""
        while some := [ended for ended, gid in self._under_way.items() if gid in gids]:
            await some[0].wait()
