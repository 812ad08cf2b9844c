"""The names of everything of a pool on RBD: no other module names images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from velocity.storage.directory.places import Places
from velocity.storage.rbd.rados_pool import RadosPool

MARK = "velocity.pool"
"""The image that tells the pool. What is in it is its metadata."""
MOVING, TRASH, GONE = "moving.", "trash.", "gone."
"""What comes or goes, what is in the trash, and what is removed as soon as nobody has it open."""


NOWHERE = RadosPool(Path(), "", "")


@dataclass(frozen=True)
class RbdPlaces(Places):
    """One pool's. `path` is a directory of this host, in which open images are."""

    rados: RadosPool = NOWHERE


def rbd_places(mpid: int, name: str, records: Path, rados: RadosPool) -> RbdPlaces:
    return RbdPlaces(mpid, name, records / f"{mpid}.rbd", records, shared=True, rados=rados)
