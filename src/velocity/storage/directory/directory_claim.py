"""Claims a pool's directory: for one pool of one server, among all on this host."""

from __future__ import annotations

import errno
import socket
from pathlib import Path


class DirectoryClaim:
    """One pool's claim of its directory, whichever path leads there.

    It is an abstract Unix socket (unix(7)): it ends with its process, does not touch the disk, and does not prevent
    unmounting.
    """

    def __init__(self) -> None:
        self._name = ""
        self._held: socket.socket | None = None

    def take(self, path: Path) -> bool:
        """Whether the claim is held now. A claim of a previously mounted disk is released. Raises `OSError`."""
        facts = path.stat()
        name = f"\0velocity-pool-{facts.st_dev}-{facts.st_ino}"
        if name == self._name:
            return True
        self.give_back()
        held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            held.bind(name)
        except OSError as error:
            held.close()
            if error.errno == errno.EADDRINUSE:
                return False
            raise
        self._name, self._held = name, held
        return True

    def give_back(self) -> None:
        """Release it, if it is held."""
        if self._held is not None:
            self._held.close()
        self._name, self._held = "", None
