"""Changes of a running machine: a module for each kind of device compares, and carries out what it can."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from velocity.hypervisor.port import MachineSpec, Wait
from velocity.hypervisor.qemu.directories import HostDirectories
from velocity.hypervisor.qemu.live import boot, cpus, disks, displays, forwards, memory, nics
from velocity.hypervisor.qemu.live.change import Change
from velocity.hypervisor.qemu.watched_runs import RunEntry

Kind = Callable[[Change], Awaitable[None]]

KINDS: Sequence[Kind] = (
    disks.alter, nics.alter, forwards.alter, boot.alter, cpus.alter, memory.alter, displays.alter
)  # fmt: skip


async def alter(
    place: HostDirectories, entry: RunEntry, asked: MachineSpec, deadline: float
) -> tuple[MachineSpec, tuple[Wait, ...]]:
    """What the run is made of afterwards, and what has to wait. Raises `HypervisorError`, `NotRunning`, `Unknown`."""
    change = Change(place, entry, deadline, asked)
    for kind in KINDS:
        await kind(change)
    return change.made, tuple(change.waits)
