"""Resource usage of the machines of this host."""

from __future__ import annotations

from velocity.hypervisor.port import Incarnation, Usage
from velocity.hypervisor.qemu.adoption import Adoption


class QemuMeters:
    """Implements `velocity.hypervisor.port.Meters`."""

    def __init__(self, adoption: Adoption) -> None:
        self._adoption = adoption

    async def measure(self, who: Incarnation, *, deadline: float) -> Usage:
        watched = self._adoption.running(who)
        return await watched.meter.measure(deadline, watched.run.links)
