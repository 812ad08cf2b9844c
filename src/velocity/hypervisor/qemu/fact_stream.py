"""The facts of one host, numbered; each run's end until it is acknowledged; and which runs may start."""

from __future__ import annotations

import asyncio
from uuid import UUID

from velocity.hypervisor.port import NOT_NEWER, Fact, FactCause, FactReport, HypervisorError, Incarnation


class FactStream:
    """Numbers all facts of one host. `number` is the last number given, `told` that of the last news.

    Which runs may start is kept in memory only: a caller that could request an older run uses this driver, and a later
    driver is asked anew. Ends are also in the run directories.
    """

    def __init__(self) -> None:
        self.number = 0
        self.told = 0
        self.ends: dict[UUID, FactReport] = {}
        self._over: dict[UUID, int] = {}
        self._lowest: dict[UUID, int] = {}
        self._queue: asyncio.Queue[FactReport] = asyncio.Queue()

    def make_fact(
        self, who: Incarnation, fact: Fact, why: FactCause, detail: str = "", *, devices: bool = False
    ) -> FactReport:
        """A fact that is an answer rather than news."""
        return FactReport(who, fact, why, detail, self.next_number(), devices)

    def next_number(self) -> int:
        self.number += 1
        return self.number

    def publish_fact(
        self, who: Incarnation, fact: Fact, why: FactCause, detail: str = "", *, devices: bool = False
    ) -> FactReport:
        changed = self.make_fact(who, fact, why, detail, devices=devices)
        self.told = changed.number
        self._queue.put_nowait(changed)
        return changed

    def end(self, who: Incarnation, why: FactCause, detail: str) -> None:
        """Report the end; queries return it from here on."""
        self.spend(who)
        self._over[who.machine] = who.epoch
        self.ends[who.machine] = self.publish_fact(who, Fact.ENDED, why, detail)

    def is_over(self, who: Incarnation) -> bool:
        """Whether its end was reported, acknowledged or not."""
        return who.epoch <= self._over.get(who.machine, -1)

    async def next(self) -> FactReport:
        return await self._queue.get()

    # Epochs

    def spend(self, who: Incarnation) -> None:
        """This run, and older ones, can never start any more."""
        self._lowest[who.machine] = max(who.epoch + 1, self._lowest.get(who.machine, 0))

    def begin(self, who: Incarnation) -> Incarnation | None:
        """It starts, which acknowledges the run before it; returns that one. Raises `HypervisorError`."""
        lowest = self._lowest.get(who.machine, 0)
        if who.epoch < lowest:
            raise HypervisorError(f"run {who.epoch} {NOT_NEWER} {lowest - 1}")
        self._lowest[who.machine] = who.epoch
        end = self.ends.pop(who.machine, None)
        return None if end is None else end.who

    def forget(self, machine: UUID) -> None:
        self.ends.pop(machine, None)
        self._over.pop(machine, None)
        self._lowest.pop(machine, None)
