"""The names of everything of a pool on RBD: no other module makes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from velocity.storage.directory.places import Places
from velocity.storage.rbd.rados_pool import RadosPool

MARK = "velocity.pool"
"""The image whose metadata are the mark."""
MOVING, TRASH, GONE = "moving.", "trash.", "gone."
"""Prefixes of objects that come or go, in the trash, and to be deleted once nobody has them open."""


NOWHERE = RadosPool(Path(), "", "")


@dataclass(frozen=True)
class RbdPlaces(Places):
    """One pool's names. `path` is a directory of this host with the files of open images."""

    rados: RadosPool = NOWHERE


def rbd_places(mpid: int, name: str, records: Path, rados: RadosPool) -> RbdPlaces:
    return RbdPlaces(mpid, name, records / f"{mpid}.rbd", records, shared=True, rados=rados)
