"""Live migration of machines from and to this host."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from velocity import uninterrupted
from velocity.hypervisor.port import (
    NOT_NEWER,
    SAID,
    Copied,
    Fact,
    HypervisorError,
    Incarnation,
    Landing,
    MachineSpec,
    MoveProgress,
    NotRunning,
    SerialEnd,
    Stop,
    Unknown,
)
from velocity.hypervisor.qemu.adoption import Adoption
from velocity.hypervisor.qemu.deadline import within
from velocity.hypervisor.qemu.fact_stream import FactStream
from velocity.hypervisor.qemu.layout import cold
from velocity.hypervisor.qemu.live.change import Change
from velocity.hypervisor.qemu.machines import QemuMachines
from velocity.hypervisor.qemu.moves import secrecy
from velocity.hypervisor.qemu.moves.departure import Departure
from velocity.hypervisor.qemu.moves.moves import Moves
from velocity.hypervisor.qemu.moves.network import MovePorts, listen
from velocity.hypervisor.qemu.moves.places import query, read
from velocity.hypervisor.qemu.moves.undo import clear
from velocity.hypervisor.qemu.run_note import Between
from velocity.hypervisor.qemu.watched_run import WatchedRun
from velocity.hypervisor.qemu.watched_runs import RunEntry, WatchedRuns

LAST = 5.0
"""Seconds to end a machine that could not be prepared."""
ANNOUNCED = {"initial": 50, "max": 550, "rounds": 5, "step": 100}
"""Milliseconds: how often, and when, the guest's NICs are announced to bridges."""
LATE = 0.9
"""The part of a deadline after which a guest that has not arrived is refused."""


class QemuMobility:
    """Implements `velocity.hypervisor.port.Mobility`. Machines arrive at the ports of `listen`."""

    def __init__(
        self,
        watched: WatchedRuns,
        adoption: Adoption,
        machines: QemuMachines,
        moves: Moves,
        news: FactStream,
        at: MovePorts,
    ) -> None:
        self._watched = watched
        self._adoption = adoption
        self._machines = machines
        self._moves = moves
        self._news = news
        self._at = at

    # On the target

    async def receive(
        self, who: Incarnation, spec: MachineSpec, places: bytes, copied: Sequence[Copied], *, deadline: float
    ) -> Landing:
        until = asyncio.get_running_loop().time() + deadline
        key, ports = secrecy.new_key(), listen(self._at.address, self._at.ports, self._forwarded())
        try:
            landing = Landing(self._at.advertised(), ports.memory.getsockname()[1], ports.disks.getsockname()[1], key)
            await self._machines.begin(who, spec, deadline * LATE, there=read(places) if places else cold(spec))
        except BaseException:
            ports.close()
            raise
        try:
            entry = self._watched.running(who)
            left = max(0.1, until - asyncio.get_running_loop().time())
            await self._moves.arrival(entry).prepare(ports, key, copied, self._at.idle, left)
        except BaseException as error:
            ports.close()
            await uninterrupted.whole(self._end(who))
            if isinstance(error, TimeoutError | OSError | Unknown):
                raise HypervisorError(f"this host could not prepare to receive it: {error}") from None
            raise
        return landing

    def _forwarded(self) -> set[int]:
        """Ports that the kernel forwards to guests: a listener there would get no connections."""
        nics = (nic for entry in self._watched for nic in entry.run.nics.values())
        return {one.host_port for nic in nics for one in nic.forwards if one.protocol == "tcp"}

    async def _end(self, who: Incarnation) -> None:
        """What could not be prepared is not a run that anybody has to hear of."""
        qemu = self._watched.of(who.machine)
        if qemu is not None and qemu.who == who:
            with contextlib.suppress(HypervisorError):
                await qemu.end(deadline=LAST)
            await self._machines.acknowledge(who, deadline=LAST)

    async def take(self, who: Incarnation, said: bytes, typed: bytes = b"", *, deadline: float) -> int:
        entry = self._adoption.running(who)
        if entry.run.between is not Between.INCOMING:
            return self._news.told
        until = asyncio.get_running_loop().time() + deadline
        arrival = self._moves.arrival(entry)
        try:
            async with asyncio.timeout(deadline * LATE):
                await arrival.settled.wait()
        except TimeoutError:
            raise HypervisorError("it has not been received") from None
        try:
            entry.qemu.serial.input.release(typed)
            await entry.qemu.resume(deadline=max(0.1, until - asyncio.get_running_loop().time()))
            await asyncio.to_thread(self._watched.place.serial_log(who.machine).begin, who.epoch, said[-SAID:])
            await arrival.taken()
        except OSError as error:
            raise Unknown(f"that it runs could not be noted: {error.strerror}") from None
        with contextlib.suppress(HypervisorError):  # the networks that it is on learn where it is now
            await entry.qemu.execute("announce-self", deadline=deadline, **ANNOUNCED)
        return self._news.told

    async def release(self, who: Incarnation, *, deadline: float) -> None:
        await self._adoption.know(who.host)
        qemu = self._watched.of(who.machine)
        runs = qemu is not None and qemu.who == who and not qemu.gone
        if runs and self._watched.running(who).run.between is not Between.INCOMING:
            raise HypervisorError("its guest runs here already")
        await self._machines.stop(who, Stop.NOW, deadline=deadline)
        await self._machines.acknowledge(who, deadline=deadline)

    # On the source

    async def places(self, who: Incarnation, *, deadline: float) -> bytes:
        entry = self._adoption.running(who)
        try:
            return await query(Change(self._watched.place, entry, deadline))
        except OSError as error:
            raise HypervisorError(f"the note of its devices cannot be written: {error.strerror}") from None

    async def send(
        self, who: Incarnation, landing: Landing, copied: Sequence[Copied], *, deadline: float
    ) -> AsyncIterator[MoveProgress]:
        entry = self._adoption.changeable(who)
        if not entry.qemu.observed.does(Fact.RUNNING):
            raise HypervisorError("it does not run: only a running machine can be sent")
        departure = Departure(self._watched.place, entry, landing, copied)
        entry.qemu.observed.leaving = True
        going = self._moves.do(departure.run(deadline, self._moves.do))
        try:
            async with contextlib.aclosing(departure.progress(going)) as told:
                async for one in told:
                    yield one
            await going
        finally:
            if not going.done():
                going.cancel()
            await asyncio.wait({going})

    async def last(self, who: Incarnation, *, deadline: float) -> SerialEnd:
        qemu = self._adoption.running(who).qemu
        if not qemu.observed.does(Fact.HANDED):
            raise HypervisorError("it was not handed over")
        async with within(deadline, "its log could not be read in time"):
            await qemu.serial.flush()
            said = await asyncio.to_thread(self._watched.place.serial_log(who.machine).last, SAID)
        return SerialEnd(said, qemu.serial.input.unread)

    async def back(self, who: Incarnation, *, deadline: float) -> int:
        qemu = self._watched.of(who.machine)
        if qemu is None or qemu.gone:
            raise NotRunning("this run has ended")
        entry = self._adoption.running(qemu.who)
        if qemu.who != who or entry.run.between is Between.HANDED:
            qemu = await self._become(entry, who)
        qemu.serial.input.release()
        if (await qemu.status.facts(deadline=deadline / 2)).fact is Fact.HANDED:
            await clear(qemu)  # of what led to its target, which has ended
            await qemu.resume(deadline=deadline / 2)
        return self._news.told

    async def _become(self, entry: RunEntry, who: Incarnation) -> WatchedRun:
        """From here on it is that incarnation again, which is its own."""
        qemu, run = entry.qemu, entry.run
        if not qemu.observed.does(Fact.HANDED):
            raise HypervisorError("it was not handed over")
        if who.epoch <= run.epoch:
            raise HypervisorError(f"run {who.epoch} {NOT_NEWER} {run.epoch}")
        return await self._watched.rename(entry, who)
