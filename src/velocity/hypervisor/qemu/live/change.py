"""One change of a run: the requested specification, what the run consists of now, and the commands to QEMU."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec import structs

from velocity.hypervisor.port import DiskSpec, Fact, HypervisorError, MachineSpec, Wait
from velocity.hypervisor.qemu import scopes
from velocity.hypervisor.qemu.directories import HostDirectories
from velocity.hypervisor.qemu.disk_options import Drive
from velocity.hypervisor.qemu.hardware import Hardware, profile
from velocity.hypervisor.qemu.run_note import Run
from velocity.hypervisor.qemu.watched_runs import RunEntry
from velocity.uninterrupted import in_thread

LEAST = 0.1
"""Seconds that a command gets, even after the deadline."""


class Change:
    """Each kind notes what QEMU may have before it sends the command, so that a later server finds it."""

    def __init__(
        self, place: HostDirectories, entry: RunEntry, deadline: float, asked: MachineSpec | None = None
    ) -> None:
        """`asked` None: nothing is to change. Raises `HypervisorError` if it is not known what it is made of."""
        if entry.run.made is None:
            raise HypervisorError("an earlier version of Velocity started it, and recorded too little about it")
        self.place = place
        self.qemu = entry.qemu
        self.made: MachineSpec = entry.run.made
        self.asked = asked or self.made
        self.waits: list[Wait] = []
        self.bootable: list[tuple[int, str]] = []
        """The devices that can boot, with their places in the boot order: see `velocity.hypervisor.boot`."""
        self._entry = entry
        self._until = asyncio.get_running_loop().time() + deadline

    @property
    def run(self) -> Run:
        """Its note."""
        return self._entry.run

    @property
    def hardware(self) -> Hardware:
        """The hardware profile that it was started with."""
        return profile(self.made.hardware)

    @property
    def left(self) -> float:
        """The seconds left."""
        return max(LEAST, self._until - asyncio.get_running_loop().time())

    @property
    def drives(self) -> tuple[Drive, ...]:
        return self.run.drives

    def wait(self, field: str, why: str, disk: DiskSpec | None = None) -> None:
        self.waits.append(Wait(field, why, None if disk is None else disk.media.medium))

    async def execute(self, command: str, **arguments: Any) -> Any:
        """Raises `HypervisorError`, `NotRunning`, `Unknown`."""
        return await self.qemu.execute(command, deadline=self.left, **arguments)

    async def note(self, **more: Any) -> None:
        """Record what the run is made of now, with these fields of its `Run`. Raises `OSError`."""
        self._entry.run = structs.replace(self._entry.run, made=self.made, **more)
        await in_thread(self.place.runs.write, self._entry.run)

    def note_left_open(self) -> None:
        """A paused machine keeps descriptors that it has to close: see `nodes.close_left`."""
        self._entry.left_open |= not self.qemu.observed.does(Fact.RUNNING)

    def keep(self, run: Run) -> None:
        """Store another note of it, in a thread. Raises `OSError`."""
        self.place.runs.write(run)
        self._entry.run = run

    async def bound_memory(self, most: int) -> None:
        """Set the process's memory limit to so many MiB, plus what its disks use of the host's memory."""
        first = structs.replace(self.qemu.who, epoch=self.run.first_epoch)  # its scope keeps that name
        await in_thread(scopes.bound, first, most + self.run.memory_of_disks)

    async def note_in_memory(self, number: int, mib: int, *coming: DiskSpec) -> None:
        """A disk, which is there or `coming`, may take so many MiB of the host's memory: the limit follows. Raises
        `OSError`.
        """
        if mib or number in self.run.in_memory:  # of an earlier disk with that number
            await self.note(in_memory={**self.run.in_memory, number: mib})
            both = structs.replace(self.made, disks=(*self.made.disks, *coming))
            await self.bound_memory(scopes.most_memory(both))

    def free_port(self) -> int | None:
        """An empty spare PCI port; None: there is none."""
        taken = set(self.run.plugged.values())
        return next((one for one in range(self.hardware.spare_ports) if one not in taken), None)
