"""Time in a test's hands: nothing passes by itself."""

from __future__ import annotations

import asyncio

from velocity.metrics.service import Metrics, Times


class Hands:
    """Sleeps end only when told to: `until` says how far time may run; `early`, by how much they are too short."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now
        self.until = now
        self.early = 0.0
        self.slept = 0

    async def _sleep(self, seconds: float) -> None:
        if self.now + seconds > self.until:
            await asyncio.Event().wait()
        self.now += seconds - self.early
        self.slept += 1

    def times(self) -> Times:
        return Times(wall=lambda: self.now, monotonic=lambda: self.now - 1_600_000_000, sleep=self._sleep)

    async def look(self, metrics: Metrics) -> None:
        """Ten seconds later, a look."""
        self.now += 10
        await metrics.look()
