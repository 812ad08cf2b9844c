"""The life of the machines of this host: each is one QEMU process, from its start or adoption to its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from uuid import UUID

from velocity.hypervisor.port import (
    Altered,
    Fact,
    FactCause,
    FactReport,
    HostId,
    HypervisorError,
    Incarnation,
    Listing,
    MachineSpec,
    NotRunning,
    Stop,
    Unknown,
)
from velocity.hypervisor.qemu import live
from velocity.hypervisor.qemu.adoption import Adoption, check_at_home
from velocity.hypervisor.qemu.deadline import within
from velocity.hypervisor.qemu.fact_stream import FactStream
from velocity.hypervisor.qemu.layout import Layout
from velocity.hypervisor.qemu.live import nodes
from velocity.hypervisor.qemu.live.growth import grow
from velocity.hypervisor.qemu.moves.moves import Moves
from velocity.hypervisor.qemu.run_note import Between
from velocity.hypervisor.qemu.starting import Starts
from velocity.hypervisor.qemu.watched_run import WatchedRun
from velocity.hypervisor.qemu.watched_runs import WatchedRuns
from velocity.hypervisor.waits import OLDER_RUN
from velocity.storage.port import MediaRef


class QemuMachines:
    """Implements `velocity.hypervisor.port.Machines`."""

    def __init__(
        self, watched: WatchedRuns, starts: Starts, adoption: Adoption, moves: Moves, news: FactStream
    ) -> None:
        self._watched = watched
        self._moves = moves
        self._starts = starts
        self._adoption = adoption
        self._news = news

    async def start(self, who: Incarnation, spec: MachineSpec, *, deadline: float) -> int:
        start, qemu = self._starts.of(who.machine), self._watched.of(who.machine)
        if start is not None and start.who == who:
            raise Unknown("it is being started")
        if qemu is not None and qemu.who == who and not qemu.gone:
            check_at_home(self._watched.running(who))
            return self._news.told
        await self.begin(who, spec, deadline)
        return self._news.told

    async def begin(self, who: Incarnation, spec: MachineSpec, deadline: float, *, there: Layout | None = None) -> None:
        """A new run. `there`: it waits for a guest from another host, with this layout.

        Raises `HypervisorError`, `Unknown`.
        """
        start, qemu = self._starts.of(who.machine), self._watched.of(who.machine)
        if start is not None or self._adoption.unwatched(who.machine) is not None:
            raise HypervisorError(OLDER_RUN)
        if qemu is not None:
            await _cleared(qemu, who, deadline)
        ended = self._news.begin(who)
        try:
            await self._starts.start(who, spec, deadline, there=there)
        except HypervisorError:
            if ended is not None and self._starts.of(who.machine) is None:
                await self._watched.drop(ended)  # else its note was removed by the start
            raise

    async def pause(self, who: Incarnation, *, deadline: float) -> int:
        await self._adoption.changeable(who).qemu.pause(deadline=deadline)
        return self._news.told

    async def resume(self, who: Incarnation, *, deadline: float) -> int:
        entry = self._adoption.changeable(who)
        await entry.qemu.resume(deadline=deadline)
        if entry.left_open:
            with contextlib.suppress(HypervisorError):  # it runs, which was asked for
                await nodes.close_left(entry, deadline)
        return self._news.told

    async def reset(self, who: Incarnation, *, deadline: float) -> int:
        await self._adoption.changeable(who).qemu.reset(deadline=deadline)
        return self._news.told

    async def alter(self, who: Incarnation, spec: MachineSpec, *, deadline: float) -> Altered:
        entry = self._adoption.changeable(who)
        try:
            async with within(deadline, "its devices were not changed in time"):
                made, waits = await live.alter(self._watched.place, entry, spec, deadline)
        except OSError as error:
            raise Unknown(f"the note of its devices cannot be written: {error.strerror}") from None
        return Altered(self._news.told, made, waits)

    async def resize(self, who: Incarnation, media: MediaRef, size: int, *, deadline: float) -> int:
        entry = self._adoption.changeable(who)
        try:
            async with within(deadline, "its disk did not become larger in time"):
                await grow(self._watched.place, entry, media, size, deadline)
        except OSError as error:
            raise Unknown(f"the note of its disks cannot be written: {error.strerror}") from None
        return self._news.told

    async def stop(self, who: Incarnation, how: Stop, *, deadline: float) -> int:
        if how is Stop.NOW:
            self._news.spend(who)
            await self._end(who, deadline)
            return self._news.told
        number = self._news.told
        with contextlib.suppress(NotRunning):
            entry = self._adoption.running(who)
            if entry.run.between in (None, Between.SENDING):
                await entry.qemu.execute("system_powerdown", deadline=deadline)
        return number

    async def _end(self, who: Incarnation, deadline: float) -> None:
        for known in (True, False):
            start = self._starts.of(who.machine)
            qemu = self._watched.of(who.machine)
            unwatched = self._adoption.unwatched(who.machine)
            if start is not None and start.who == who:
                return await self._starts.end(start, deadline)
            if qemu is not None and qemu.who == who:
                return await qemu.end(deadline=deadline)
            if unwatched is not None and unwatched.who == who:
                return await self._adoption.end(unwatched, deadline)
            if known:  # as far as is known: a server that comes back may not have looked yet
                await self._adoption.know(who.host)
        return None

    async def facts(self, who: Incarnation, *, deadline: float) -> FactReport:
        async with within(deadline, "its state could not be determined in time"):
            return await self._fact(who, deadline)

    async def _fact(self, who: Incarnation, deadline: float) -> FactReport:
        await self._adoption.know(who.host)
        start = self._starts.of(who.machine)
        if start is not None and start.who == who:
            raise Unknown("it is being started")
        qemu = self._watched.of(who.machine)
        if qemu is not None and qemu.who == who:
            with contextlib.suppress(NotRunning):
                return await qemu.status.facts(deadline=deadline)
            await qemu.ended.wait()
        unwatched = self._adoption.unwatched(who.machine)
        if unwatched is not None and unwatched.who == who:
            raise Unknown(unwatched.why)
        end = self._news.ends.get(who.machine)
        if end is not None and end.who == who:
            return end
        self._news.spend(who)
        return self._news.make_fact(who, Fact.ABSENT, FactCause.UNKNOWN)

    async def adopt(self, host: HostId, *, deadline: float) -> Listing:
        async with within(deadline, "the machines on this host could not be determined in time"):
            return await self._adoption.list_runs(host, deadline)

    async def acknowledge(self, who: Incarnation, *, deadline: float) -> None:
        async with within(deadline, "its end was not acknowledged in time"):
            await self._adoption.know(who.host)
            end = self._news.ends.get(who.machine)
            if end is not None and end.who == who:
                del self._news.ends[who.machine]
                # If the wait is cancelled, the work is still completed: a start waits for that.
                await asyncio.shield(self._watched.drop(who))

    async def news(self, host: HostId) -> AsyncIterator[FactReport]:
        while True:
            yield await self._news.next()

    async def forget(self, host: HostId, machine: UUID, *, deadline: float) -> None:
        if (end := self._news.ends.get(machine)) is not None:
            await self.acknowledge(end.who, deadline=deadline)
        async with within(deadline, "its data could not be removed completely in time"):
            await asyncio.to_thread(self._watched.place.forget, machine)
        self._news.forget(machine)

    async def close(self) -> None:
        await self._moves.close()
        await self._starts.close()
        await self._adoption.close()
        await self._watched.close()


async def _cleared(qemu: WatchedRun, who: Incarnation, deadline: float) -> None:
    """Return when the previous run is cleaned up, which this one acknowledges. Raises `HypervisorError`."""
    if not qemu.gone:
        raise HypervisorError(OLDER_RUN)
    if who.epoch > qemu.who.epoch:
        qemu.acknowledged.set()
    try:
        async with asyncio.timeout(deadline):
            await qemu.cleared.wait()
    except TimeoutError:
        raise HypervisorError("the remains of an older run of this machine could not be removed in time") from None
