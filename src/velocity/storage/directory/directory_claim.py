"""Claims a pool's directory: for one pool of one server, among all on this host."""

from __future__ import annotations

import errno
import socket
from pathlib import Path


class DirectoryClaim:
    """One pool's claim of its directory, by whatever path.

    It is a name of a unix socket without a file (unix(7), "Abstract sockets"): it ends with its process, needs nothing
    of the disk, and keeps nobody from unmounting that.
    """

    def __init__(self) -> None:
        self._name = ""
        self._held: socket.socket | None = None

    def take(self, path: Path) -> bool:
        """Whether it is ours now. One of a disk that was there before is given back. Raises `OSError`."""
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
        """Done already is success."""
        if self._held is not None:
            self._held.close()
        self._name, self._held = "", None
