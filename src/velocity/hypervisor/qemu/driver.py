"""The port, kept by QEMU on this host."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import time
from collections.abc import AsyncIterator, Collection, Sequence
from uuid import UUID

from velocity.hypervisor.port import (
    ByteStream,
    Changed,
    Confinement,
    Fact,
    HostFacts,
    HostId,
    HostNow,
    HypervisorError,
    Incarnation,
    Listing,
    MachineSpec,
    NotRunning,
    Screen,
    Serial,
    Stop,
    Unknown,
    Usage,
    Why,
)
from velocity.hypervisor.qemu import confine, facts, firmware, probe, spool
from velocity.hypervisor.qemu.adoption import Adoption
from velocity.hypervisor.qemu.command import screen_device, screen_socket
from velocity.hypervisor.qemu.launch import Place
from velocity.hypervisor.qemu.meter import command
from velocity.hypervisor.qemu.news import News
from velocity.hypervisor.qemu.options import Options
from velocity.hypervisor.qemu.runs import Runs, TooLong
from velocity.hypervisor.qemu.serial import SocketStream
from velocity.hypervisor.qemu.sessions import Sessions, Watched
from velocity.hypervisor.qemu.starting import Starts
from velocity.network import fence
from velocity.storage.port import MediaFiles

log = logging.getLogger(__name__)

FENCE_LOOK = 10.0
"""Seconds for which a look at the packet filter is believed."""

TRANSLATION_CACHE = 128
"""MiB for the code that TCG translates; it is not part of the guest's memory."""


@contextlib.asynccontextmanager
async def within(deadline: float, words: str) -> AsyncIterator[None]:
    """What is not done in that time is unknown."""
    try:
        async with asyncio.timeout(deadline):
            yield
    except TimeoutError:
        raise Unknown(words) from None


class QemuHypervisor:
    """Keeps `velocity.hypervisor.port.Hypervisor` with one QEMU process per machine."""

    def __init__(self, options: Options, media: MediaFiles) -> None:
        self._options = options
        self._media = media
        self._news = News()
        self.sessions = Sessions(self._news)
        self.starts = Starts(self.sessions)
        self.adoption = Adoption(self.sessions, self.starts, self._news)
        self._fenced: tuple[float, bool] = (0.0, False)

    async def prepare(self) -> None:
        """Learn what this host can do and make its directories. Raises `HypervisorError` with the cure."""
        await asyncio.to_thread(self._prepare)
        self.sessions.open()

    def _prepare(self) -> None:
        chosen = self._options
        cache = chosen.data_dir / "cache"
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._verdict = probe.choose(chosen.accelerator, cache / "accelerator.json", chosen.binary)
            self._host = facts.read(chosen.binary, cache / "qemu.json")
            image = firmware.keep(firmware.find(), chosen.data_dir / "firmware")
        except (probe.BrokenHost, firmware.NoFirmware) as error:
            raise HypervisorError(str(error)) from None
        runs = Runs(chosen.runtime_dir, chosen.instance, chosen.uids)
        try:
            runs.open()
        except TooLong as error:
            raise HypervisorError(str(error)) from None
        name = self._verdict.accelerator.value
        if name == "tcg":
            name += f",thread=multi,tb-size={TRANSLATION_CACHE}"
        self.place = self.sessions.place = Place(
            binary=chosen.binary,
            accelerator=name,
            firmware=chosen.data_dir / "firmware",
            state=chosen.data_dir / "machines",
            runs=runs,
            media=self._media,
            privileged=chosen.uids is not None,
            bounds=spool.bounds(runs.root),
        )
        self._facts = HostFacts(
            accelerator=self._verdict.accelerator.value,
            accelerator_reason=self._verdict.reason,
            hypervisor=f"QEMU {self._host.version}",
            machine_type=self._host.machine_type,
            firmware=image.build,
            max_cpus=self._host.max_cpus,
            memory=self._host.memory_mib,
        )
        if chosen.uids is not None:
            try:
                fence.raise_fence(chosen.uids)
            except fence.CannotFence as error:
                log.warning("NAT guests can reach this host's loopback: %s", error)

    # Machines

    async def start(self, who: Incarnation, spec: MachineSpec, *, deadline: float) -> int:
        start, session = self.starts.of(who.machine), self.sessions.of(who.machine)
        if start is not None and start.who == who:
            raise Unknown("its start is under way")
        if session is not None and session.who == who and not session.gone:
            return self._news.told
        if start is not None or session is not None or self.adoption.unwatched(who.machine) is not None:
            raise HypervisorError("an older run of this machine has not ended yet")
        ended = self._news.begin(who)
        try:
            await self.starts.start(who, spec, deadline)
        except HypervisorError:
            if ended is not None and self.starts.of(who.machine) is None:
                await self.sessions.drop(ended)  # else its note was removed by the start
            raise
        return self._news.told

    async def pause(self, who: Incarnation, *, deadline: float) -> int:
        await self._running(who).session.pause(deadline=deadline)
        return self._news.told

    async def resume(self, who: Incarnation, *, deadline: float) -> int:
        await self._running(who).session.resume(deadline=deadline)
        return self._news.told

    async def stop(self, who: Incarnation, how: Stop, *, deadline: float) -> int:
        if how is Stop.NOW:
            self._news.spend(who)
            await self._end(who, deadline)
            return self._news.told
        number = self._news.told
        with contextlib.suppress(NotRunning):
            await self._running(who).session.execute("system_powerdown", deadline=deadline)
        return number

    async def _end(self, who: Incarnation, deadline: float) -> None:
        for known in (True, False):
            start = self.starts.of(who.machine)
            session = self.sessions.of(who.machine)
            unwatched = self.adoption.unwatched(who.machine)
            if start is not None and start.who == who:
                return await self.starts.end(start, deadline)
            if session is not None and session.who == who:
                return await session.end(deadline=deadline)
            if unwatched is not None and unwatched.who == who:
                return await self.adoption.end(unwatched, deadline)
            if known:  # as far as is known: a server that comes back may not have looked yet
                await self.adoption.know(who.host)
        return None

    async def facts(self, who: Incarnation, *, deadline: float) -> Changed:
        async with within(deadline, "it is not known in time what it does"):
            return await self._fact(who, deadline)

    async def _fact(self, who: Incarnation, deadline: float) -> Changed:
        await self.adoption.know(who.host)
        start = self.starts.of(who.machine)
        if start is not None and start.who == who:
            raise Unknown("its start is under way")
        session = self.sessions.of(who.machine)
        if session is not None and session.who == who:
            with contextlib.suppress(NotRunning):
                return await session.facts(deadline=deadline)
            await session.ended.wait()
        unwatched = self.adoption.unwatched(who.machine)
        if unwatched is not None and unwatched.who == who:
            raise Unknown(unwatched.why)
        end = self._news.ends.get(who.machine)
        if end is not None and end.who == who:
            return end
        self._news.spend(who)
        return self._news.fact(who, Fact.ABSENT, Why.UNKNOWN)

    async def adopt(self, host: HostId, *, deadline: float) -> Listing:
        async with within(deadline, "it is not known in time what runs on this host"):
            return await self.adoption.list_runs(host, deadline)

    async def acknowledge(self, who: Incarnation, *, deadline: float) -> None:
        async with within(deadline, "its end is not acknowledged in time"):
            await self.adoption.know(who.host)
            end = self._news.ends.get(who.machine)
            if end is not None and end.who == who:
                del self._news.ends[who.machine]
                # Whoever gives up waiting leaves it to its end: a start waits for that.
                await asyncio.shield(self.sessions.drop(who))

    async def news(self, host: HostId) -> AsyncIterator[Changed]:
        while True:
            yield await self._news.next()

    async def forget(self, host: HostId, machine: UUID, *, deadline: float) -> None:
        if (end := self._news.ends.get(machine)) is not None:
            await self.acknowledge(end.who, deadline=deadline)
        async with within(deadline, "not all that is kept for it is removed in time"):
            await asyncio.to_thread(shutil.rmtree, self.place.state / str(machine), True)
        self._news.forget(machine)

    async def close(self) -> None:
        await self.starts.close()
        await self.adoption.close()
        await self.sessions.close()

    # Consoles and hosts

    async def open(self, who: Incarnation, which: Serial | Screen, *, deadline: float) -> ByteStream:
        session = self._running(who).session
        if isinstance(which, Serial):
            return await session.serial.open()
        path = self.place.runs.own(who.machine) / screen_socket(which.index)
        try:
            async with within(deadline, "its display does not answer"):
                return SocketStream(*await asyncio.open_unix_connection(str(path)))
        except OSError:
            raise NotRunning("its display does not answer") from None

    async def said(self, host: HostId, machine: UUID, most: int, *, deadline: float) -> bytes:
        async with within(deadline, "its log is not read in time"):
            if (session := self.sessions.of(machine)) is not None:
                await session.serial.flush()
            return await asyncio.to_thread(self.place.serial_log(machine).last, most)

    async def shot(self, who: Incarnation, index: int, *, deadline: float) -> bytes:
        session = self._running(who).session
        if trouble := session.monitor.trouble:
            raise Unknown(trouble)
        return await session.screens.take(screen_device(index), deadline=deadline)

    async def measure(self, who: Incarnation, *, deadline: float) -> Usage:
        return await self._running(who).meter.measure(deadline)

    def about(self, host: HostId) -> HostFacts:
        return self._facts

    async def memory_free(self, host: HostId, *, deadline: float) -> int:
        return facts.memory_free_mib()

    async def now(self, host: HostId, *, deadline: float) -> HostNow:
        return facts.now()

    async def kept(self, host: HostId, *, deadline: float) -> Collection[UUID]:
        async with within(deadline, "it is not known in time what is kept"):
            kept = await asyncio.to_thread(self.place.kept)
        return {one for one in kept if one not in self.sessions} - self.starts.machines()

    async def command(self, who: Incarnation, *, deadline: float) -> Sequence[str] | None:
        try:
            watched = self._running(who)
        except HypervisorError:
            return None
        shorter = ((self.place.runs.root, "RUN"), (self._options.data_dir, "DATA"))
        async with within(deadline, "its command is not read in time"):
            return await asyncio.to_thread(command, watched.session.pid, shorter)

    async def confinement(self, who: Incarnation, *, deadline: float) -> Confinement | None:
        try:
            watched = self._running(who)
            async with within(deadline, "the packet filter does not answer"):
                reaches = watched.run.nat and not await self._fence_holds()
            status = confine.status(watched.session.pid)
            return confine.read_back(status, server_uid=os.geteuid(), nat_reaches_loopback=reaches)
        except Unknown:
            raise
        except (HypervisorError, OSError, KeyError):
            return None  # or it has ended while we looked

    async def _fence_holds(self) -> bool:
        uids = self._options.uids
        if uids is None:
            return False
        looked, holds = self._fenced
        if time.monotonic() - looked > FENCE_LOOK:
            holds = await asyncio.to_thread(fence.holds, uids)
            self._fenced = (time.monotonic(), holds)
        return holds

    def _running(self, who: Incarnation) -> Watched:
        """This very run. Raises `NotRunning`, `HypervisorError`: it cannot be watched yet."""
        unwatched = self.adoption.unwatched(who.machine)
        if unwatched is not None and unwatched.who == who:
            raise HypervisorError(f"{unwatched.why}: try again when it can be")
        return self.sessions.running(who)
