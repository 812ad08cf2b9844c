"""Objects that were begun on this host, and that nobody knows until they are settled."""

from __future__ import annotations

from collections.abc import Callable

from velocity.storage.port import Belongs
from velocity.storage.rbd.opened import Daemon
from velocity.storage.rbd.places import MOVING


class Begun:
    """The begun objects of one pool. `remove` is tried first; images in `gone` are removed when that is possible."""

    def __init__(self, remove: Callable[[str], None], gone: set[str]) -> None:
        self._remove = remove
        self._gone = gone
        self._names: set[str] = set()
        self._lent: dict[str, Daemon] = {}

    def add(self, name: str) -> None:
        self._names.add(name)

    def lent(self, name: str, daemon: Daemon) -> None:
        """Note that a machine has it open for writing."""
        self._lent[name] = daemon

    def settled(self, name: str, belongs: Belongs) -> bool:
        """Whether nothing more is to be done: a begun object that belongs nowhere was removed, or is in `gone`.

        A full pool refuses even deletions and new names.
        """
        here, daemon = name in self._names, self._lent.pop(name, None)
        self._names.discard(name)
        if belongs is not Belongs.NOWHERE:
            return False
        if daemon is not None:
            daemon.kill()  # otherwise the machine waits for its writes to a full pool
        if here:
            try:
                self._remove(MOVING + name)
            except OSError:
                self._gone.add(MOVING + name)
        return here
