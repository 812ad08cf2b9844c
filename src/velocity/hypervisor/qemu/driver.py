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

import msgspec

from velocity.hypervisor.port import (
    ByteStream,
    Changed,
    Confinement,
    Fact,
    Found,
    HostFacts,
    HostId,
    HostNow,
    HypervisorError,
    Incarnation,
    MachineSpec,
    MediaFiles,
    News,
    NotRunning,
    Screen,
    Serial,
    Stop,
    Unknown,
    Usage,
    Why,
)
from velocity.hypervisor.qemu import confine, facts, firmware, probe, spool, words
from velocity.hypervisor.qemu.command import screen_device, screen_socket
from velocity.hypervisor.qemu.launch import Place, cleared, end, launch, recovered
from velocity.hypervisor.qemu.meter import Meter, command
from velocity.hypervisor.qemu.options import Options
from velocity.hypervisor.qemu.runs import Run, Runs, TooLong, boot_id
from velocity.hypervisor.qemu.serial import SerialHub, SocketStream
from velocity.hypervisor.qemu.session import Session
from velocity.hypervisor.qemu.watch import Watch
from velocity.hypervisor.qemu.words import Words
from velocity.network import fence, wire

log = logging.getLogger(__name__)

ADOPT_DEADLINE = 3.0
CLEAR_AGAIN = 1.0
"""Seconds until what an ended run has left, and could not be cleared, is tried again."""
FENCE_LOOK = 10.0
"""Seconds for which a look at the packet filter is believed."""

TRANSLATION_CACHE = 128
"""MiB for the code that TCG translates; it is not part of the guest's memory."""


class QemuHypervisor:
    """Keeps `velocity.hypervisor.port.Hypervisor` with one QEMU process per machine."""

    def __init__(self, options: Options, media: MediaFiles) -> None:
        self._options = options
        self._media = media
        self._sessions: dict[UUID, Session] = {}
        self._meters: dict[UUID, Meter] = {}
        self._starting: set[UUID] = set()
        self._runs_of: dict[UUID, Run] = {}
        self._epochs: dict[UUID, int] = {}
        self._watches = Watch()
        self._left: dict[UUID, Run] = {}
        self._more_left = asyncio.Event()
        self._clearing = asyncio.Lock()
        self._clearer: asyncio.Task[None] | None = None
        self._news: asyncio.Queue[News] = asyncio.Queue()
        self._fenced: tuple[float, bool] = (0.0, False)

    async def prepare(self) -> None:
        """Learn what this host can do and make its directories. Raises `HypervisorError` with the cure."""
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._prepare)
        self._clearer = self._loop.create_task(self._clear_what_is_left())

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
        self._place = Place(
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

    async def start(self, who: Incarnation, spec: MachineSpec, *, deadline: float) -> None:
        last = self._epochs.get(who.machine, 0)
        if who.epoch < last:
            raise HypervisorError(f"run {who.epoch} is older than run {last}")
        if who.machine in self._sessions:
            if who.epoch == last:
                return
            raise HypervisorError("an older run of this machine has not ended yet")
        self._epochs[who.machine] = who.epoch
        self._starting.add(who.machine)
        try:
            await self._start(who, spec, deadline)
        finally:
            self._starting.discard(who.machine)

    async def _start(self, who: Incarnation, spec: MachineSpec, deadline: float) -> None:
        if who.machine in self._left:
            async with self._clearing:  # nothing is cleared under a new run
                self._left.pop(who.machine, None)
        run = await asyncio.to_thread(launch, self._place, who, spec, self._clear)
        try:
            session = self._watch(who, run)
        except OSError as error:
            await asyncio.to_thread(end, run.pid)
            await asyncio.to_thread(self._clear, run)
            raise HypervisorError(f"its process cannot be watched: {error.strerror}") from None
        try:
            await session.connect(self._place.qmp(who), deadline=deadline)
            await session.serial.connect()
            await session.execute("query-status" if spec.held else "cont", deadline=deadline)
            if session.gone:
                raise NotRunning("it ended at once")
        except BaseException as error:
            session.kill()
            await session.ended.wait()
            if isinstance(error, Unknown):
                raise HypervisorError(f"QEMU did not answer within {deadline:.0f} seconds and was ended") from None
            if isinstance(error, NotRunning | OSError):
                raise HypervisorError(await session.last_words() or "QEMU ended at its start") from None
            raise

    async def pause(self, who: Incarnation, *, deadline: float) -> None:
        await self._session(who).execute("stop", deadline=deadline)

    async def resume(self, who: Incarnation, *, deadline: float) -> None:
        await self._session(who).execute("cont", deadline=deadline)

    async def stop(self, who: Incarnation, how: Stop, *, deadline: float) -> None:
        session = self._sessions.get(who.machine)
        if session is None or session.who != who:
            return
        if how is Stop.NOW:
            await session.end(deadline=deadline)
        else:
            with contextlib.suppress(NotRunning):
                await session.execute("system_powerdown", deadline=deadline)

    async def adopt(self, host: HostId) -> Sequence[Found]:
        place = self._place
        runs = await asyncio.to_thread(lambda: [(run, place.runs.process(run)) for run in place.runs.all()])
        return [
            found
            for found in await asyncio.gather(
                *(self._adopt(host, run, pid) for run, pid in runs if run.machine not in self._starting)
            )
            if found is not None
        ]

    async def _adopt(self, host: HostId, run: Run, pid: int | None) -> Found | None:
        """`pid` is its process, if that was there when the directory was read."""
        who = Incarnation(run.machine, host, run.epoch)
        session = self._sessions.get(run.machine)
        if session is None:
            if pid is None:
                return await asyncio.to_thread(self._bury, who, run)
            try:
                session = self._watch(who, msgspec.structs.replace(run, pid=pid))
            except ProcessLookupError:
                return await asyncio.to_thread(self._bury, who, run)
            except OSError as error:
                log.warning("the machine %s runs, but cannot be watched: %s", run.machine, error)
                return Changed(who, Fact.RUNNING, Why.UNKNOWN, f"it cannot be watched: {error.strerror}")
            self._epochs[run.machine] = run.epoch
            try:
                await session.connect(self._place.qmp(who), deadline=ADOPT_DEADLINE)
                await session.serial.connect()
                session.screens.left = True  # an earlier server may have left what it had lent
                await session.screens.sweep()
            except (HypervisorError, OSError) as error:
                log.warning("the machine %s runs, but its monitor does not answer: %s", run.machine, error)
                return Changed(who, Fact.RUNNING, Why.UNKNOWN, "its monitor does not answer")
        try:
            fact, why = await session.status(deadline=ADOPT_DEADLINE)
        except HypervisorError as error:
            return None if session.gone else Changed(who, Fact.RUNNING, Why.UNKNOWN, str(error))
        return Changed(who, fact, why)

    def _bury(self, who: Incarnation, run: Run) -> Found:
        """The process is gone: tell why, as far as it left a trace, and clear what remains."""
        with contextlib.suppress(OSError):
            recovered(self._place, who, run)
        orderly = run.boot == boot_id() and not (self._place.runs.own(run.machine) / "pid").exists()
        why = Why.KILLED
        if orderly:
            signalled = b"terminating on signal" in words.said(self._place.qemu_log(who), 4096)
            why = Why.HOST_SIGNAL if signalled else Why.GUEST_SHUTDOWN
        self._clear(run)
        return Changed(who, Fact.ENDED, why, "seen when the server came back")

    async def news(self) -> AsyncIterator[News]:
        while True:
            yield await self._news.get()

    async def forget(self, machine: UUID) -> None:
        await asyncio.to_thread(shutil.rmtree, self._place.state / str(machine), True)
        self._epochs.pop(machine, None)

    async def close(self) -> None:
        if self._clearer is not None:
            self._clearer.cancel()
            await asyncio.wait({self._clearer})
        for meter in self._meters.values():
            meter.close()
        sessions, self._sessions = self._sessions, {}
        await asyncio.gather(*(session.close() for session in sessions.values()))
        self._watches.close()

    # Consoles and hosts

    async def open(self, who: Incarnation, which: Serial | Screen) -> ByteStream:
        session = self._session(who)
        if isinstance(which, Serial):
            return await session.serial.open()
        path = self._place.runs.own(who.machine) / screen_socket(which.index)
        try:
            return SocketStream(*await asyncio.open_unix_connection(str(path)))
        except OSError:
            raise NotRunning("its display does not answer") from None

    async def said(self, machine: UUID, most: int) -> bytes:
        if (session := self._sessions.get(machine)) is not None:
            await session.serial.flush()
        return await asyncio.to_thread(self._place.serial_log(machine).last, most)

    async def shot(self, who: Incarnation, index: int, *, deadline: float) -> bytes:
        return await self._session(who).screens.take(screen_device(index), deadline=deadline)

    def facts(self, host: HostId) -> HostFacts:
        return self._facts

    async def memory_free(self, host: HostId) -> int:
        return facts.memory_free_mib()

    async def now(self, host: HostId) -> HostNow:
        return facts.now()

    async def measure(self, who: Incarnation, *, deadline: float) -> Usage:
        self._session(who)
        return await self._meters[who.machine].measure(deadline)

    async def command(self, who: Incarnation) -> Sequence[str] | None:
        session = self._running(who)
        if session is None:
            return None
        shorter = ((self._place.runs.root, "RUN"), (self._options.data_dir, "DATA"))
        return await asyncio.to_thread(command, session.pid, shorter)

    async def kept(self, host: HostId) -> Collection[UUID]:
        kept = await asyncio.to_thread(self._place.kept)
        return kept - self._sessions.keys() - self._starting

    async def confinement(self, who: Incarnation) -> Confinement | None:
        session = self._running(who)
        run = self._runs_of.get(who.machine)
        if session is None or run is None:
            return None
        reaches = run.nat and not await self._fence_holds()
        try:
            status = confine.status(session.pid)
            return confine.read_back(status, server_uid=os.geteuid(), nat_reaches_loopback=reaches)
        except (OSError, KeyError):
            return None  # it has ended while we looked

    async def _fence_holds(self) -> bool:
        uids = self._options.uids
        if uids is None:
            return False
        looked, holds = self._fenced
        if time.monotonic() - looked > FENCE_LOOK:
            holds = await asyncio.to_thread(fence.holds, uids)
            self._fenced = (time.monotonic(), holds)
        return holds

    # Sessions

    def _running(self, who: Incarnation) -> Session | None:
        """The session of this run, until its process is gone; what it leaves is cleared after that."""
        session = self._sessions.get(who.machine)
        return None if session is None or session.who != who or session.gone else session

    def _session(self, who: Incarnation) -> Session:
        session = self._running(who)
        if session is None:
            raise NotRunning("this run has ended")
        return session

    def _watch(self, who: Incarnation, run: Run) -> Session:
        directory, log = self._place.runs.directory(who.machine), self._place.qemu_log(who)
        kept, bounds = self._place.serial_log(who.machine), run.spool or self._place.bounds
        with contextlib.ExitStack() as undo:
            own_words = self._words(who, run)
            if own_words is not None:
                undo.callback(own_words.close)
            watched = self._watches.add(directory, lambda: session.heard())
            undo.callback(self._watches.remove, watched)
            session = Session(who, run.pid, own_words, log, self._tell)
            session.serial = SerialHub(directory, bounds, who.epoch, kept, session)
            undo.pop_all()

        async def ended() -> None:
            self._watches.remove(watched)
            self._meters[who.machine].close()
            try:
                await asyncio.to_thread(self._clear, run)
            finally:  # until here, no other run of this machine begins
                self._sessions.pop(who.machine, None)
                del self._meters[who.machine]
                del self._runs_of[who.machine]

        session.on_end = ended
        self._sessions[who.machine] = session
        self._meters[who.machine] = Meter(session, run)
        self._runs_of[who.machine] = run
        return session

    def _words(self, who: Incarnation, run: Run) -> Words | None:
        """None: its QEMU writes to the log itself, or somebody has removed the file."""
        if run.spool is None:
            return None
        with contextlib.suppress(FileNotFoundError):
            return Words(self._place.runs.directory(who.machine), run.spool, who.epoch, self._place.qemu_log(who))
        return None

    def _tell(self, news: News) -> None:
        if isinstance(news, Changed) and news.who.machine in self._starting:
            return  # the start itself tells how it went
        self._news.put_nowait(news)

    def _clear(self, run: Run) -> bool:
        """Takes as long as `ip` and the file system do: to be done in a thread. What stays is cleared later."""
        try:
            cleared(self._place.runs, run)
        except (OSError, wire.CannotConnect) as error:
            log.warning("what run %d of the machine %s left cannot be cleared yet: %s", run.epoch, run.machine, error)
            self._left[run.machine] = run
            self._loop.call_soon_threadsafe(self._more_left.set)
            return False
        return True

    async def _clear_what_is_left(self) -> None:
        while True:
            await self._more_left.wait()
            self._more_left.clear()
            await asyncio.sleep(CLEAR_AGAIN)
            async with self._clearing:
                for machine, run in list(self._left.items()):
                    if machine not in self._starting and await asyncio.to_thread(self._clear, run):
                        self._left.pop(machine, None)
