"""The hypervisor in memory, whose machines outlive the server's crash as processes do: they are kept in a file."""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from velocity.hypervisor.fake import FACTS, FakeHypervisor, Run
from velocity.hypervisor.port import Fact, Incarnation, MachineSpec, Stop

MACHINES = "CRASH_MACHINES"
"""Environment: the file."""
_rename = os.replace
"""Of the tests, not of the server: it passes no point."""


def machines(file: Path) -> dict[UUID, Fact]:
    """What runs there."""
    if not file.exists():
        return {}
    runs, _, _ = pickle.loads(file.read_bytes())  # noqa: S301 - written by `Kept`
    return {machine: run.fact for machine, run in runs.items()}


class Kept(FakeHypervisor):
    """Made as the driver of QEMU is. Its host is never full."""

    def __init__(self, _options: object, _library: object) -> None:
        super().__init__(replace(FACTS, max_cpus=64, memory=1 << 30))
        self._file = Path(os.environ[MACHINES])
        if self._file.exists():
            self.runs, self._epochs, self.keeps = pickle.loads(self._file.read_bytes())  # noqa: S301 - our own

    async def prepare(self) -> None:
        pass

    async def start(self, who: Incarnation, spec: MachineSpec, *, deadline: float) -> None:
        await super().start(who, spec, deadline=deadline)
        self._keep()

    async def pause(self, who: Incarnation, *, deadline: float) -> None:
        await super().pause(who, deadline=deadline)
        self._keep()

    async def resume(self, who: Incarnation, *, deadline: float) -> None:
        await super().resume(who, deadline=deadline)
        self._keep()

    async def stop(self, who: Incarnation, how: Stop, *, deadline: float) -> None:
        await super().stop(who, how, deadline=deadline)
        self._keep()

    async def forget(self, machine: UUID) -> None:
        await super().forget(machine)
        self._keep()

    def _keep(self) -> None:
        runs: Sequence[Run] = [replace(run, streams=[]) for run in self.runs.values()]
        draft = self._file.with_suffix(".draft")
        draft.write_bytes(pickle.dumps(({run.who.machine: run for run in runs}, self._epochs, self.keeps)))
        _rename(draft, self._file)
