"""Measures every running machine every ten seconds."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from uuid import UUID

from msgspec import Struct

from velocity.contract.machines import State
from velocity.hypervisor.port import HypervisorError, Incarnation, Meters, Usage
from velocity.machines.consoles.slots import Slots
from velocity.machines.run.keeper import Keeper
from velocity.machines.service import Fleet
from velocity.metrics.files import MetricsFiles
from velocity.metrics.rules import INTERVAL, MetricsHistory, Point, Series, point
from velocity.regularly import tried

log = logging.getLogger(__name__)

DEADLINE = 2.0
"""Seconds that one machine has to respond."""
AT_ONCE = 16
HOLD = 0.5
"""Machines measured at a time, and the seconds after which a slow one lets others begin."""
PATIENCE = 5.0
"""Seconds that a round waits for all of them; later answers still count for that round."""
SAVED_EVERY = 60
"""Rounds between two writes of a machine's file: a crash loses ten minutes."""
LAST_SAVE = 10.0
"""Seconds that the server waits for the files at its end."""
TOO_EARLY = 1.0
"""Seconds: a measurement that follows sooner belongs to the previous point."""


class Times(Struct, frozen=True):
    """The clocks of the sampler.

    `wall` gives the points' times; rates use `monotonic`, which does not jump when the host's clock is set.
    """

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Measured(Struct, frozen=True):
    """The last measurement of a run, its time (monotonic seconds), and the point made from it.

    `since`: when the run began, in Unix seconds.
    """

    who: Incarnation
    at: float
    usage: Usage
    point: Point
    since: int


async def _none() -> None:
    """No host is measured."""


class Metrics:
    """What VMs use: in memory if they were measured since the server's start, otherwise in their files."""

    def __init__(
        self,
        fleet: Fleet,
        meters: Meters,
        times: Times | None = None,
        sample_host: Callable[[], Awaitable[None]] = _none,
        files: MetricsFiles | None = None,
    ) -> None:
        """`sample_host` measures the host in each round; without `files`, nothing outlives the server."""
        self._files = files
        self._unsaved: set[UUID] = set()
        self._saving: asyncio.Task[None] | None = None
        self._sample_host = sample_host
        self._sampling: asyncio.Future[None] | None = None
        self._fleet = fleet
        self._meters = meters
        self._times = times or Times()
        self._pasts: dict[UUID, MetricsHistory] = {}
        self._measured: dict[UUID, Measured] = {}
        self._slots = Slots(AT_ONCE, HOLD)
        self._asked: dict[UUID, asyncio.Task[None]] = {}
        """Machines that have not responded yet: none is asked twice at a time."""
        self._looked = 0
        self._looking: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._looking = asyncio.create_task(self._look_ever())

    async def close(self) -> None:
        tasks = {*self._asked.values(), *(one for one in (self._looking, self._sampling) if one is not None)}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._saving is not None:
            await asyncio.wait({self._saving}, timeout=LAST_SAVE)
        if self._unsaved and self._files is not None:
            last = asyncio.create_task(self._save(self._files, self._unsaved))
            await asyncio.wait({last}, timeout=LAST_SAVE)

    # Reading

    async def series(self, keeper: Keeper, span: str) -> tuple[Series, list[str]]:
        """Up to the last round, with the spans that show more than the previous one."""
        past = await self._past(keeper.machine.uuid)
        now = self._looked * INTERVAL if self._looked else int(self._times.wall())
        return past.series(span, now), past.spans(now)

    def measured(self, keeper: Keeper) -> Measured | None:
        """The last measurement of its present run; None if it does not run, or did not respond last time."""
        measured = self._measured.get(keeper.machine.uuid)
        return measured if measured is not None and _runs(keeper) and measured.who == keeper.who else None

    def usage(self, keeper: Keeper) -> Usage | None:
        """What its present run has used so far, if known."""
        measured = self.measured(keeper)
        return None if measured is None else measured.usage

    async def _past(self, machine: UUID) -> MetricsHistory:
        past = self._pasts.get(machine)
        if past is not None or self._files is None:
            return past or MetricsHistory()
        return await asyncio.to_thread(self._files.read, machine)

    def known(self) -> set[UUID]:
        """The machines with measurements."""
        return {*self._pasts, *self._measured}

    # Measuring

    async def _look_ever(self) -> None:
        while True:
            wait = INTERVAL - self._times.wall() % INTERVAL
            await self._times.sleep(wait if wait > TOO_EARLY else wait + INTERVAL)
            await tried("a measurement of all VMs", self.look)

    async def look(self) -> None:
        """Measure every running VM. One that does not respond leaves a gap in its own series only."""
        number = round(self._times.wall() / INTERVAL)
        keepers = sorted(self._fleet.all(), key=lambda one: one.machine.host)  # one call for each host
        self._forget_all_but({keeper.machine.uuid for keeper in keepers})
        for keeper in keepers:
            if _runs(keeper) and keeper.machine.uuid not in self._asked:
                self._ask(keeper, number)
        if self._sampling is None or self._sampling.done():
            self._sampling = asyncio.ensure_future(self._sample_host())
        await asyncio.wait({*self._asked.values(), self._sampling}, timeout=PATIENCE)
        self._looked = number
        self._save_some(number)

    def _ask(self, keeper: Keeper, number: int) -> None:
        uuid = keeper.machine.uuid
        task = self._asked[uuid] = asyncio.create_task(self._try(keeper, number))
        task.add_done_callback(lambda _: self._asked.pop(uuid, None))

    async def _try(self, keeper: Keeper, number: int) -> None:
        async with self._slots.take():
            try:
                await self._measure(keeper, number)
            except Exception as error:
                self._measured.pop(keeper.machine.uuid, None)
                if not isinstance(error, HypervisorError):
                    log.exception("vm %d cannot be measured", keeper.machine.vmid)

    async def _measure(self, keeper: Keeper, number: int) -> None:
        uuid, who = keeper.machine.uuid, keeper.who
        before = self._measured.get(uuid)
        usage = await self._meters.measure(who, deadline=DEADLINE)
        now = self._times.monotonic()
        if before is None or before.who != who:
            values, since = point(None, usage, 0), self._began(keeper, usage)
        else:
            values, since = point(before.usage, usage, now - before.at), before.since
        if (past := self._pasts.get(uuid)) is None:
            past = self._pasts[uuid] = await self._past(uuid)
        past.put(number, values)
        self._unsaved.add(uuid)
        self._measured[uuid] = Measured(who, now, usage, values, since)

    def _began(self, keeper: Keeper, usage: Usage) -> int:
        """When the run began: one that has moved to another host continues there in a younger process."""
        process, run = round(self._times.wall() - usage.age), keeper.progress.run
        return min(process, run.began_at) if run is not None and run.began_at else process

    def _forget_all_but(self, uuids: set[UUID]) -> None:
        for kept in (self._pasts, self._measured):
            for gone in kept.keys() - uuids:
                del kept[gone]
        self._unsaved &= uuids

    # What outlives the server

    def _save_some(self, number: int) -> None:
        """Write the files that are due, in a thread; while earlier ones wait for the disk, at the next time."""
        some = {uuid for uuid in self._unsaved if (uuid.int + number) % SAVED_EVERY == 0}
        if some and self._files is not None and (self._saving is None or self._saving.done()):
            self._saving = asyncio.create_task(self._save(self._files, some))

    async def saved(self) -> None:
        """Returns when nothing is being written."""
        if self._saving is not None:
            await asyncio.wait({self._saving})

    async def _save(self, files: MetricsFiles, some: set[UUID]) -> None:
        packed = {uuid: past.packed() for uuid in some if (past := self._pasts.get(uuid)) is not None}
        self._unsaved = self._unsaved - some
        if not await asyncio.to_thread(files.write, packed):
            self._unsaved |= packed.keys() & self._pasts.keys()


def _runs(keeper: Keeper) -> bool:
    return keeper.state not in (State.STOPPED, State.STARTING)
