"""What machines of a remote host take: asked for at the same time, they are measured in one call.

A call costs more than what it measures, and there is one for each machine that runs, every ten seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Protocol

from velocity.hypervisor.port import HypervisorError, Incarnation, Usage

SOON = 0.5
"""Seconds that machines get in one call; one that takes longer is asked alone, and keeps no other waiting."""
AGAIN = 600.0
"""Seconds after which a node that did not know this call is asked again: it may have been upgraded."""


class One(Protocol):
    def __call__(self, who: Incarnation, *, deadline: float) -> Awaitable[Usage]: ...


class Each(Protocol):
    def __call__(self, whos: tuple[Incarnation, ...], *, deadline: float) -> Awaitable[tuple[Usage | None, ...]]: ...


class Measuring:
    """Of one host. `each` raises an error with the words `unknown` where the node does not know that call."""

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
        """All those that are asked for by now."""
        waiting, self._waiting = self._waiting, {}
        found: Sequence[Usage | None] = ()
        try:
            if len(waiting) > 1:
                found = await self._each(tuple(waiting), deadline=SOON)
        except HypervisorError as error:  # each alone is told what is wrong with it
            if str(error) == self._unknown:
                self._not_before = asyncio.get_running_loop().time() + AGAIN
        finally:
            fits = len(found) == len(waiting)
            for number, coming in enumerate(waiting.values()):
                if not coming.done():
                    coming.set_result(found[number] if fits else None)
