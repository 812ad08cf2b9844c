"""Enlarges a disk of a running machine: QEMU does it, and notifies the guest.

https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html (block_resize)
"""

from __future__ import annotations

from typing import Any

from velocity.hypervisor.port import HypervisorError
from velocity.hypervisor.qemu import filesizes
from velocity.hypervisor.qemu.directories import HostDirectories
from velocity.hypervisor.qemu.disk_options import node_name
from velocity.hypervisor.qemu.live.change import Change
from velocity.hypervisor.qemu.live.nodes import allow
from velocity.hypervisor.qemu.watched_runs import RunEntry
from velocity.storage.port import MediaRef


async def grow(place: HostDirectories, entry: RunEntry, media: MediaRef, size: int, deadline: float) -> None:
    """Raises `HypervisorError`, `NotRunning`, `Unknown`, `OSError`."""
    qemu = entry.qemu
    opened = await qemu.execute("query-named-block-nodes", deadline=deadline, flat=True)
    disks = [number for number, one in entry.run.nodes.items() if one.media == media and not one.readonly]
    sizes = {number: found for number in disks if (found := _size(opened, node_name(number))) is not None}
    if not sizes:
        raise HypervisorError("the run has no such disk to write to")
    for number, has in sizes.items():
        if size < has:
            raise HypervisorError(f"the disk has {has:,} bytes already: it cannot become smaller")
        if size > has:
            allow(qemu.pid, filesizes.image(size) + filesizes.SLACK)
            if entry.run.memory_of_disks and entry.run.made is not None:  # perhaps of this one
                change = Change(place, entry, deadline)
                more = filesizes.image(size) - has >> 20
                await change.note_in_memory(number, entry.run.in_memory.get(number, 0) + more)
            await qemu.execute("block_resize", deadline=deadline, **{"node-name": node_name(number), "size": size})


def _size(opened: Any, name: str) -> int | None:
    """The size in bytes of the disk at a block node; None: there is no such node."""
    for one in opened if isinstance(opened, list) else ():
        match one:
            case {"node-name": str(found), "image": {"virtual-size": int(size)}} if found == name:
                return size
    return None
