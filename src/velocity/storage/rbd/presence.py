"""Whether a pool on RBD is available: its cluster responds, and it has the mark."""

from __future__ import annotations

from msgspec.structs import replace

from velocity.storage.directory.files import PoolFiles
from velocity.storage.directory.presence import Names, Presence
from velocity.storage.port import PoolMark, PoolState
from velocity.storage.rbd.blocklist import OwnAddresses
from velocity.storage.rbd.identity import RbdIdentity
from velocity.storage.rbd.places import RbdPlaces


class RbdPresence(Presence):
    """Whether one pool is available."""

    def __init__(self, places: RbdPlaces, identity: RbdIdentity, files: PoolFiles) -> None:
        super().__init__(places, identity, files)
        self._full = places.rados.full
        self._own = OwnAddresses(places.rados)

    def state(self) -> PoolState | None:
        """The state; a full pool cannot be examined further."""
        with self._looking:
            fits = self._identity.fits()
            return self._look(None) if self._full.was or (fits and self._in_order) else None

    def _find(self, names: Names | None) -> tuple[PoolState, str]:
        if not self._full.was:
            return super()._find(names)
        return self._said("full"), "its cluster says so, and lets all that writes wait: see `ceph health detail`"

    def mark(self, expected: str) -> PoolMark:
        """The mark, with the addresses by which the cluster knows this host."""
        mark = super().mark(expected)
        return replace(mark, clients=self._own.get()) if mark.taken else mark

    def close(self) -> None:
        super().close()
        self._full.close()

    def _writable(self) -> bool:
        """Always true: what the key does not allow is refused when it is tried."""
        return True
