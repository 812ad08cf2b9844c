"""The files of measurements: one for each machine, of fixed size, rewritten as a whole.

A failed write leaves the old file: only measurements are lost.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from uuid import UUID

from velocity import durable
from velocity.metrics.rules import PACKED, MetricsHistory, unpacked

log = logging.getLogger(__name__)


class MetricsFiles:
    """The files in one directory. All calls block: they are made in a thread, one at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._failing = False

    def read(self, machine: UUID) -> MetricsHistory:
        """The machine's measurements; empty if there is no readable file."""
        try:
            with self._file(machine).open("rb") as file:
                return unpacked(file.read(PACKED + 1))
        except FileNotFoundError:
            pass
        except OSError as error:
            log.warning("what machine %s took cannot be read: %s", machine, error)
        return MetricsHistory()

    def write(self, packed: Mapping[UUID, bytes]) -> bool:
        """Whether it was written completely. Never raises."""
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            for machine, data in packed.items():
                durable.write(self._file(machine), data, lasting=False)
        except OSError as error:
            if not self._failing:
                log.warning("what machines take cannot be written, will retry: %s", error)
            self._failing = True
        else:
            self._failing = False
        return not self._failing

    def remove(self, machine: UUID) -> None:
        """The machine was removed permanently. Never raises."""
        with contextlib.suppress(OSError):
            self._file(machine).unlink(missing_ok=True)

    def remove_all_but(self, kept: Collection[str]) -> None:
        """Remove the files of machines other than these (uuids), which a crash may have left. Never raises."""
        with contextlib.suppress(OSError):
            for file in self._directory.iterdir():
                if file.name not in kept:
                    file.unlink(missing_ok=True)

    def _file(self, machine: UUID) -> Path:
        return self._directory / str(machine)
