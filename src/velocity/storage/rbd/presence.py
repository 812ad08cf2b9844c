"""Whether a pool on RBD is there: its cluster answers, and it has the mark."""

from __future__ import annotations

from velocity.storage.directory.presence import Presence


class RbdPresence(Presence):
    """One pool's."""

    def _writable(self) -> bool:
        """What a key does not permit is refused as it is tried."""
        return True
