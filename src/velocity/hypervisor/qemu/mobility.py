"""Machines of this host that go to another one, and those that come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from velocity.hypervisor.port import Copied, HypervisorError, Incarnation, Landing, MachineSpec, MoveProgress
from velocity.hypervisor.qemu.adoption import Adoption
from velocity.hypervisor.qemu.watched_runs import WatchedRuns

NOT_YET = "machines do not move between hosts while they run yet"


class QemuMobility:
    """Keeps `velocity.hypervisor.port.Mobility`."""

    def __init__(self, sessions: WatchedRuns, adoption: Adoption) -> None:
        self._sessions = sessions
        self._adoption = adoption

    async def places(self, who: Incarnation, *, deadline: float) -> bytes:
        raise HypervisorError(NOT_YET)

    async def receive(
        self, who: Incarnation, spec: MachineSpec, places: bytes, copied: Sequence[Copied], *, deadline: float
    ) -> Landing:
        raise HypervisorError(NOT_YET)

    async def send(
        self, who: Incarnation, landing: Landing, copied: Sequence[Copied], *, deadline: float
    ) -> AsyncIterator[MoveProgress]:
        raise HypervisorError(NOT_YET)
        yield

    async def take(self, who: Incarnation, said: bytes, *, deadline: float) -> int:
        raise HypervisorError(NOT_YET)

    async def release(self, who: Incarnation, *, deadline: float) -> None:
        raise HypervisorError(NOT_YET)

    async def back(self, who: Incarnation, *, deadline: float) -> int:
        raise HypervisorError(NOT_YET)
