"""The boot order of a running machine, which its firmware reads whenever the guest boots.

https://www.qemu.org/docs/master/system/bootindex.html
"""

from __future__ import annotations

from msgspec import structs

from velocity.hypervisor.boot import in_order, place
from velocity.hypervisor.qemu.layout import nic_device
from velocity.hypervisor.qemu.live.change import Change

NONE = -1


async def alter(change: Change) -> None:
    """Implements `velocity.hypervisor.qemu.live.Kind`; called after disks and NICs."""
    asked = {nic.nic: nic.boot for nic in change.asked.nics}
    change.made = structs.replace(
        change.made, nics=tuple(structs.replace(nic, boot=asked.get(nic.nic, 0)) for nic in change.made.nics)
    )
    nics = {nic_device(nic.nic): place(nic, change.asked.first) for nic in change.made.nics}
    order = tuple(in_order([*change.bootable, *((boot, device) for device, boot in nics.items() if boot)]))
    had = change.run.order
    if order == had:
        return
    disks = [device for _, device in change.bootable]
    there = {*disks, *nics}
    for device in (one for one in (*(had or disks), *order) if one in there):
        await _set(change, device, NONE)  # QEMU accepts each bootindex only once
    for number, device in enumerate(order, 1):
        await _set(change, device, number)
    await change.note(order=order)


async def _set(change: Change, device: str, place: int) -> None:
    await change.execute("qom-set", path=f"/machine/peripheral/{device}", property="bootindex", value=place)
