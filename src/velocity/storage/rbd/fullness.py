"""Whether a pool on RBD is full, and how much space it has."""

from __future__ import annotations

import errno
import json
import threading
import time
from collections.abc import Callable

from velocity.storage.directory.fullness import FULL, Fullness
from velocity.storage.port import Space
from velocity.storage.rbd.full_flag import FRESH
from velocity.storage.rbd.places import RbdPlaces
from velocity.storage.rbd.rados_pool import error_of

UNCOUNTED = Space(0, 1 << 50)
"""For a cluster without statistics, as no manager runs: excess writes are refused when they happen."""


class RbdFullness(Fullness):
    """Whether one pool is full, checked after refused writes and when the space is queried."""

    def __init__(self, places: RbdPlaces, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(places.path, clock)
        self._rados = places.rados
        self._asking = threading.Lock()
        self._last = UNCOUNTED
        self._good_until = float("-inf")

    def heard(self, error: OSError) -> None:
        super().heard(error)
        if error.errno in FULL:
            self._until = self._clock() + FRESH

    def why(self) -> str:
        if self._why and self._clock() >= self._until and self.space().free:
            self._why = ""
        return self._why

    def space(self) -> Space:
        """The space, without what replicas take. Raises `OSError`."""
        with self._asking:
            if self._clock() >= self._good_until:
                self._last = _space(json.loads(self._rados.ceph("df", "--format=json")), self._rados.pool)
                self._good_until = self._clock() + FRESH
            return self._last


def _space(found: dict[str, object], pool: str) -> Space:
    """ceph(8), "df": `max_avail` is what clients can write until the first disk is full."""
    told = found["stats"]
    pools = found["pools"]
    assert isinstance(told, dict)
    assert isinstance(pools, list)
    if not told["total_bytes"]:
        return UNCOUNTED
    stats = next((one["stats"] for one in pools if one["name"] == pool), None)
    if stats is None:
        raise error_of(errno.ENOENT, f"the cluster has no RADOS pool {pool}")
    free = int(stats["max_avail"])
    return Space(int(stats["stored"]) + free, free)
