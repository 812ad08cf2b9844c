"""The disks of machines that run on this host."""

from __future__ import annotations

from velocity.hypervisor.port import DiskLimits, Incarnation
from velocity.hypervisor.qemu.adoption import Adoption
from velocity.hypervisor.qemu.disk_limits import limit


class QemuDisks:
    """Keeps `velocity.hypervisor.port.Disks`."""

    def __init__(self, adoption: Adoption) -> None:
        self._adoption = adoption

    async def limit(self, who: Incarnation, disk: int, limits: DiskLimits, *, deadline: float) -> None:
        await limit(self._adoption.running(who).session.execute, {disk: limits}, deadline)
