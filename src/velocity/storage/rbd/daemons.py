"""The daemons of one pool on this host: of what this server has open, of machines, and of a former server."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4
from weakref import WeakSet

from velocity.storage.rbd.lent import LENT, end_unused, kill_unused, lent, others
from velocity.storage.rbd.opened import Daemon
from velocity.storage.rbd.rados_pool import RadosPool

CLOSING = 5.0
"""Seconds that the server's own daemons have to end with it."""


class Daemons:
    """Starts and ends them. Their files are in the `scratch` directory."""

    def __init__(self, rados: RadosPool, scratch: Path) -> None:
        self._rados = rados
        self._scratch = scratch
        self._beginning: set[Path] = set()
        """Files that machines are about to open."""
        self._told: dict[int, float] = {}
        """Daemons that were told to end: pid -> time."""
        self._own: WeakSet[Daemon] = WeakSet()
        self._left = others(scratch)
        """The files of a former server's."""

    def start(self, image: str, *, readonly: bool) -> Daemon:
        """For this server. Raises `OSError`."""
        daemon = Daemon(self._rados, image, self._scratch / str(uuid4()), readonly=readonly)
        self._own.add(daemon)
        return daemon

    @contextlib.contextmanager
    def lending(self) -> Iterator[Path]:
        """The place of a file for a machine, which nobody has open within."""
        place = self._scratch / f"{LENT}{uuid4()}"
        self._beginning.add(place)
        try:
            yield place
        finally:
            self._beginning.discard(place)

    def ending(self) -> list[Path]:
        """The files of daemons that end once nobody has them open."""
        self._left = {one for one in self._left if one.exists()}
        return [one for one in (*lent(self._scratch), *self._left) if one not in self._beginning]

    def sweep(self) -> None:
        """End those that nobody uses any more."""
        end_unused(self.ending(), self._told, self._is_full)

    def kill_unused(self) -> int:
        """Kill those of ended machines, with unwritten data; returns how many are left."""
        return kill_unused(self.ending())

    def _is_full(self) -> bool:
        """Whether the pool was found full, and is. Otherwise nothing is asked, as the cluster may not answer at all."""
        if self._rados.full.was:
            with contextlib.suppress(OSError):
                self._rados.full.ask()
        return self._rados.full.was

    def close(self) -> None:
        """Those whose cluster does not answer are killed: this process could not end before them."""
        own, end = list(self._own), time.monotonic() + CLOSING
        for one in own:
            one.end()
        for one in own:
            if not one.wait(max(0.0, end - time.monotonic())):
                one.kill()
