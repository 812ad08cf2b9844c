"""Resource use of machines on a remote host: simultaneous queries are combined into one call.

Every ten seconds there is one query for each running machine, and a call costs more than the measurement.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Protocol

from velocity.hypervisor.port import HypervisorError, Incarnation, Usage

SOON = 0.5
"""Seconds for the machines in one call. One that takes longer is measured alone, so that others need not wait."""
AGAIN = 600.0
"""Seconds until a node that did not know this call is tried again: it may have been upgraded."""


class One(Protocol):
    def __call__(self, who: Incarnation, *, deadline: float) -> Awaitable[Usage]: ...


class Each(Protocol):
    def __call__(self, whos: tuple[Incarnation, ...], *, deadline: float) -> Awaitable[tuple[Usage | None, ...]]: ...


class Measuring:
    """The machines of one host. `each` raises an error with the words `unknown` if the node does not know the call."""

    def __init__(self, one: One, each: Each, unknown: str) -> None:
        self._one = one
        self._each = each
        self._unknown = unknown
        self._waiting: dict[Incarnation, asyncio.Future[Usage | None]] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self._not_before = 0.0

    async def measure(self, who: Incarnation, *, deadline: float) -> Usage:
        """See `velocity.hypervisor.port.Meters`."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._not_before or who in self._waiting:
            return await self._one(who, deadline=deadline)
        if not self._waiting:
            asking = loop.create_task(self._ask())
            self._asking.add(asking)
            asking.add_done_callback(self._asking.discard)
        coming = self._waiting[who] = loop.create_future()
        return await coming or await self._one(who, deadline=deadline)

    async def _ask(self) -> None:
        """Measure all machines that were queried meanwhile."""
        waiting, self._waiting = self._waiting, {}
        found: Sequence[Usage | None] = ()
        try:
            if len(waiting) > 1:
                found = await self._each(tuple(waiting), deadline=SOON)
        except HypervisorError as error:  # measure each alone, for an error of its own
            if str(error) == self._unknown:
                self._not_before = asyncio.get_running_loop().time() + AGAIN
        finally:
            fits = len(found) == len(waiting)
            for number, coming in enumerate(waiting.values()):
                if not coming.done():
                    coming.set_result(found[number] if fits else None)
