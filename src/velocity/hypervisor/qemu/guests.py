"""The guest agents of the machines of this host."""

from __future__ import annotations

from velocity.hypervisor.port import Incarnation
from velocity.hypervisor.qemu.adoption import Adoption


class QemuGuests:
    """Implements `velocity.hypervisor.port.Guests`."""

    def __init__(self, adoption: Adoption) -> None:
        self._adoption = adoption

    async def ask(self, who: Incarnation, command: str, arguments: bytes, *, deadline: float) -> bytes:
        return await self._adoption.running(who).agent.ask(command, arguments, deadline)
