"""Disks of the machines in memory that are copied while they run."""

from __future__ import annotations

from velocity.hypervisor.fake.faults import Faults
from velocity.hypervisor.fake.guest import Copying, FakeRun
from velocity.hypervisor.fake.state import FakeState
from velocity.hypervisor.port import HypervisorError, Incarnation, MirrorProgress
from velocity.hypervisor.waits import NOT_COPIED
from velocity.storage.port import MediaRef

TOTAL = 1 << 20


class FakeMirrors:
    """Implements `velocity.hypervisor.port.Mirrors`.

    A test may set `slow`: copies do not come to be ready; and `breaks`, the words with which they fail.
    """

    def __init__(self, state: FakeState, faults: Faults) -> None:
        self.slow = False
        self.breaks: str | None = None
        self._state = state
        self._faults = faults

    async def begin(
        self, who: Incarnation, source: MediaRef, target: MediaRef, *, compact: bool, deadline: float
    ) -> None:
        def work() -> None:
            run = self._state.changeable(who)
            if not run.devices.writes_to(source):
                raise HypervisorError("the run has no such disk to write to")
            if source.medium in run.mirrors:
                raise HypervisorError("it is being copied already")
            run.mirrors[source.medium] = Copying(source, target)
            run.devices.copied.pop(source.medium, None)
            run.devices.copying.add(source.medium)

        self._state.changeable(who)
        self._faults.deed(who, work)

    async def progress(self, who: Incarnation, source: MediaRef, *, deadline: float) -> MirrorProgress:
        self._one(self._state.changeable(who), source)
        return MirrorProgress(TOTAL // 2 if self.slow else TOTAL, TOTAL, not self.slow)

    async def hold(self, who: Incarnation, source: MediaRef, *, deadline: float) -> None:
        def work() -> None:
            self._one(self._state.changeable(who), source).held = True

        self._one(self._state.changeable(who), source)
        self._faults.deed(who, work)

    async def settle(self, who: Incarnation, media: MediaRef, *, deadline: float) -> bool:
        taken = False

        def work() -> None:
            nonlocal taken
            run = self._state.changeable(who)
            one = run.mirrors.pop(media.medium, None)
            run.devices.copying.discard(media.medium)
            taken = one is not None and one.held and one.target == media
            if one is not None and taken:
                run.devices.take(one.source, one.target)
                run.spec = run.devices.spec
            taken = taken or run.devices.copied.get(media.medium) == media

        self._state.changeable(who)
        self._faults.deed(who, work)
        return taken

    def _one(self, run: FakeRun, source: MediaRef) -> Copying:
        if self.breaks is not None:
            run.mirrors.pop(source.medium, None)
            run.devices.copying.discard(source.medium)
            raise HypervisorError(self.breaks)
        if source.medium not in run.mirrors:
            raise HypervisorError(NOT_COPIED)
        return run.mirrors[source.medium]
