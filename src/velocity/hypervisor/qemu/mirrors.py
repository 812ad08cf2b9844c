"""Mirror jobs of the machines of this host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from velocity.hypervisor.port import Incarnation, MirrorProgress, Unknown
from velocity.hypervisor.qemu.adoption import Adoption
from velocity.hypervisor.qemu.deadline import within
from velocity.hypervisor.qemu.live import mirrors
from velocity.hypervisor.qemu.live.change import Change
from velocity.hypervisor.qemu.watched_runs import WatchedRuns
from velocity.storage.port import MediaRef

T = TypeVar("T")


class QemuMirrors:
    """Implements `velocity.hypervisor.port.Mirrors`."""

    def __init__(self, watched: WatchedRuns, adoption: Adoption) -> None:
        self._watched = watched
        self._adoption = adoption

    async def begin(
        self, who: Incarnation, source: MediaRef, target: MediaRef, *, compact: bool, deadline: float
    ) -> None:
        await self._do(who, deadline, lambda change: mirrors.begin(change, source, target, compact=compact))

    async def progress(self, who: Incarnation, source: MediaRef, *, deadline: float) -> MirrorProgress:
        return await self._do(who, deadline, lambda change: mirrors.progress(change, source))

    async def hold(self, who: Incarnation, source: MediaRef, *, deadline: float) -> None:
        await self._do(who, deadline, lambda change: mirrors.hold(change, source))

    async def settle(self, who: Incarnation, media: MediaRef, *, deadline: float) -> bool:
        return await self._do(who, deadline, lambda change: mirrors.settle(change, media))

    async def _do(self, who: Incarnation, deadline: float, work: Callable[[Change], Awaitable[T]]) -> T:
        entry = self._adoption.changeable(who)
        change = Change(self._watched.place, entry, deadline)
        try:
            async with within(deadline, "its disk was not copied in time"):
                return await work(change)
        except OSError as error:
            raise Unknown(f"the note of its disks cannot be written: {error.strerror}") from None
