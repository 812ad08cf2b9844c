"""Objects that were begun here, and of which nobody knows until they are settled."""

from __future__ import annotations

from collections.abc import Callable

from velocity.storage.port import Belongs
from velocity.storage.rbd.opened import Daemon
from velocity.storage.rbd.places import MOVING


class Begun:
    """Those of one pool. `remove` is tried first; an image in `gone` is removed as soon as it can be."""

    def __init__(self, remove: Callable[[str], None], gone: set[str]) -> None:
        self._remove = remove
        self._gone = gone
        self._names: set[str] = set()
        self._lent: dict[str, Daemon] = {}

    def add(self, name: str) -> None:
        self._names.add(name)

    def lent(self, name: str, daemon: Daemon) -> None:
        """To a machine, which writes to it."""
        self._lent[name] = daemon

    def settled(self, name: str, belongs: Belongs) -> bool:
        """Whether that is all: what was begun here and belongs nowhere is gone, or goes as soon as it can.

        A full pool deletes nothing, either, and gives nothing another name.
        """
        here, daemon = name in self._names, self._lent.pop(name, None)
        self._names.discard(name)
        if belongs is not Belongs.NOWHERE:
            return False
        if daemon is not None:
            daemon.kill()  # else the machine would wait for what it writes to a pool that is full
        if here:
            try:
                self._remove(MOVING + name)
            except OSError:
                self._gone.add(MOVING + name)
        return here
