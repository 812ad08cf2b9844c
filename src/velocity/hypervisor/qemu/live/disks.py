"""Disks of a machine that runs."""

from __future__ import annotations

from msgspec import structs

from velocity.hypervisor.disks import matched
from velocity.hypervisor.qemu.disk_limits import limit
from velocity.hypervisor.qemu.live.change import Change


async def alter(change: Change) -> None:
    """Keeps `velocity.hypervisor.qemu.live.Kind`."""
    await _limit(change)


async def _limit(change: Change) -> None:
    """Set the I/O limits that are to be others."""
    disks = list(change.made.disks)
    for place, wanted in matched(change.made.disks, change.asked.disks).items():
        if disks[place].limits != wanted.limits:
            await limit(change.session.execute, {place: wanted.limits}, change.left)
            disks[place] = structs.replace(disks[place], limits=wanted.limits)
            change.made = structs.replace(change.made, disks=tuple(disks))
    await change.note()
