"""The hypervisor in memory, whose machines outlive the server's crash as processes do: they are kept in a file."""

from __future__ import annotations

import asyncio
import os
import pickle
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from velocity.hypervisor.fake import FACTS, FakeHypervisor
from velocity.hypervisor.port import Fact, Incarnation
from velocity.storage.port import MediaFiles, MediaRef

MACHINES = "CRASH_MACHINES"
"""Environment: the file."""
_rename = os.replace
"""Of the tests, not of the server: it passes no point."""


def machines(file: Path) -> dict[UUID, Fact]:
    """What runs there."""
    if not file.exists():
        return {}
    runs, *_ = pickle.loads(file.read_bytes())  # noqa: S301 - written by `Kept`
    return {machine: run.fact for machine, run in runs.items()}


def _grow(files: MediaFiles, media: MediaRef, size: int) -> None:
    descriptor = files.open(media, readonly=False)
    try:
        os.truncate(descriptor, size)
    finally:
        os.close(descriptor)


class Kept(FakeHypervisor):
    """Made as the driver of QEMU is. Its host is never full, and a disk that grows in a run does so in its file."""

    def __init__(self, _options: object, files: MediaFiles) -> None:
        super().__init__(replace(FACTS, max_cpus=64, memory=1 << 30))
        resize = self.machines.resize

        async def resized(who: Incarnation, media: MediaRef, size: int, *, deadline: float) -> int:
            number = await resize(who, media, size, deadline=deadline)
            await asyncio.to_thread(_grow, files, media, size)
            return number

        self.machines.resize = resized  # type: ignore[method-assign]
        self._file = Path(os.environ[MACHINES])
        if self._file.exists():
            kept = pickle.loads(self._file.read_bytes())  # noqa: S301 - our own
            runs, ends, epochs, self.state.keeps = kept
            self.runs.update(runs)
            for machine, end in ends.items():  # numbers begin anew, as a driver's do
                self.state.ends[machine] = self.state.fact(end.who, end.fact, end.why, detail=end.detail)
            self.state.epochs.update(epochs)
        self.state.changed = self._keep

    async def prepare(self) -> None:
        pass

    def _keep(self) -> None:
        runs = {machine: replace(run, streams=[]) for machine, run in self.runs.items()}
        draft = self._file.with_suffix(".draft")
        draft.write_bytes(pickle.dumps((runs, self.state.ends, self.state.epochs, self.state.keeps)))
        _rename(draft, self._file)
