"""The consoles and displays of the machines of this host."""

from __future__ import annotations

import asyncio
from uuid import UUID

from velocity.hypervisor.port import ByteStream, DisplayConsole, HostId, Incarnation, NotRunning, SerialConsole, Unknown
from velocity.hypervisor.qemu.adoption import Adoption
from velocity.hypervisor.qemu.command import screen_device, screen_socket
from velocity.hypervisor.qemu.connecting import connected, verified
from velocity.hypervisor.qemu.deadline import within
from velocity.hypervisor.qemu.serial import SocketStream
from velocity.hypervisor.qemu.watched_runs import WatchedRuns


class QemuConsoles:
    """Implements `velocity.hypervisor.port.Consoles`."""

    def __init__(self, watched: WatchedRuns, adoption: Adoption) -> None:
        self._watched = watched
        self._adoption = adoption

    async def open(self, who: Incarnation, which: SerialConsole | DisplayConsole, *, deadline: float) -> ByteStream:
        watched = self._adoption.running(who)
        if isinstance(which, SerialConsole):
            return await watched.qemu.serial.open()
        path = self._watched.place.runs.own(who.machine) / screen_socket(which.index)
        try:
            async with within(deadline, "its display does not respond"):
                with verified(path, watched.run.uid) as socket:
                    return SocketStream(*await connected(socket))
        except OSError:
            raise NotRunning("its display does not respond") from None

    async def type_in(self, who: Incarnation, data: bytes, *, deadline: float) -> int:
        return await self._adoption.running(who).qemu.serial.input.type_in(data, deadline / 2)

    async def said(self, host: HostId, machine: UUID, most: int, *, deadline: float) -> bytes:
        async with within(deadline, "its log could not be read in time"):
            if (qemu := self._watched.of(machine)) is not None:
                await qemu.serial.flush()
            return await asyncio.to_thread(self._watched.place.serial_log(machine).last, most)


class QemuScreens:
    """Implements `velocity.hypervisor.port.Screens`."""

    def __init__(self, adoption: Adoption) -> None:
        self._adoption = adoption

    async def shot(self, who: Incarnation, index: int, *, deadline: float) -> bytes:
        qemu = self._adoption.running(who).qemu
        if trouble := qemu.monitor.trouble:
            raise Unknown(trouble)
        return await qemu.screens.take(screen_device(index), deadline=deadline)
