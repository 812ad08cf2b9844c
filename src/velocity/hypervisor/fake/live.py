"""What the machines of the hypervisor in memory become of what is asked of them while they run."""

from __future__ import annotations

from msgspec import structs

from velocity.hypervisor.disks import matched
from velocity.hypervisor.port import MachineSpec, Wait


def become(has: MachineSpec, asked: MachineSpec) -> tuple[MachineSpec, tuple[Wait, ...]]:
    """What it is made of from here on, and what waits."""
    return _limited(has, asked), ()


def _limited(has: MachineSpec, asked: MachineSpec) -> MachineSpec:
    disks = list(has.disks)
    for place, wanted in matched(has.disks, asked.disks).items():
        disks[place] = structs.replace(disks[place], limits=wanted.limits)
    return structs.replace(has, disks=tuple(disks))
