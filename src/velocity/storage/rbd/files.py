"""The objects of one pool on RBD: `<mid>.<format>` is an image, with a prefix while it is unfinished or in the trash.

A removed image is renamed first, and deleted when nobody has it open any more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection

from velocity.storage.directory.disk_errors import as_refusals
from velocity.storage.directory.files import QCOW2, PoolFiles
from velocity.storage.directory.identity import Identity
from velocity.storage.port import Belongs, Space, Stat
from velocity.storage.rbd import lengths
from velocity.storage.rbd.blocklist import RbdBlocklist
from velocity.storage.rbd.fullness import RbdFullness
from velocity.storage.rbd.openings import RbdOpenings, find, stat_of
from velocity.storage.rbd.places import GONE, MOVING, TRASH, RbdPlaces


class RbdFiles(PoolFiles):
    """One pool's objects. Everything runs programs, so methods block, and are called in threads."""

    def __init__(self, places: RbdPlaces, identity: Identity) -> None:
        super().__init__(places, identity)
        self._rados = places.rados
        self.fullness: RbdFullness = RbdFullness(places)
        self.openings: RbdOpenings = RbdOpenings(places.rados, places.path)
        self.blocklist: RbdBlocklist = RbdBlocklist(places, self.openings)

    # The order of images

    def open(
        self, kept: Collection[str], trashed: Collection[str], coming: Collection[str] = (), *, tidy: bool = True
    ) -> None:
        if tidy:
            self._put_in_order(kept, trashed, coming)

    def _put_in_order(self, kept: Collection[str], trashed: Collection[str], coming: Collection[str]) -> None:
        there = set(self._rados.names())
        for names, prefix in ((kept, ""), (trashed, TRASH)):
            for name in names:
                for other in {"", MOVING, TRASH} - {prefix}:
                    if other + name in there and prefix + name not in there:
                        self._rados.rename(other + name, prefix + name)
                        there = there - {other + name} | {prefix + name}
        known = {MOVING + name for name in coming} | {TRASH + name for name in trashed}
        for image in sorted(there):
            if image.startswith((MOVING, TRASH)) and image not in known:
                with contextlib.suppress(OSError):  # it is repeated at the next start
                    self.openings.remove(image)
        self.openings.gone |= {image for image in there if image.startswith(GONE)}

    def settle(self, name: str, belongs: Belongs, *, again: bool = False, told: bool = False) -> None:
        if not self.openings.begun.settled(name, belongs):
            super().settle(name, belongs, again=again, told=told)

    def _put(self, name: str, belongs: Belongs) -> None:
        if belongs is Belongs.NOWHERE:
            for prefix in (TRASH, MOVING):
                self.openings.remove(prefix + name)
            return
        self._replace(MOVING + name, name if belongs is Belongs.KEPT else TRASH + name)

    def _replace(self, image: str, other: str) -> None:
        """Rename it, if it exists. After a crash, it has either name."""
        with contextlib.suppress(FileNotFoundError):
            try:
                self._rados.rename(image, other)
            except FileExistsError:
                self.openings.remove(other)
                self._rados.rename(image, other)

    def lift(self, name: str) -> None:
        with self._turn, as_refusals(self.places):
            self._replace(name, MOVING + name)
            self._left.pop(name, None)

    def bring_back(self, name: str) -> None:
        with self._turn, as_refusals(self.places):
            try:
                self._rados.rename(TRASH + name, MOVING + name)
            except FileExistsError:
                pass
            except FileNotFoundError:
                self._rados.info(MOVING + name)  # it exists already; otherwise the error is raised
            self._left.pop(name, None)

    # What there is

    def stat(self, name: str) -> Stat | None:
        try:
            return stat_of(self._rados, find(self._rados, name))
        except OSError:
            return None

    def free(self) -> int:
        return self.space().free

    def space(self) -> Space:
        with as_refusals(self.places):
            return self.fullness.space()

    def trashed(self, names: Collection[str] | None) -> int:
        with as_refusals(self.places):
            wanted = None if names is None else {TRASH + name for name in names}
            there = [one for one in self._rados.names() if one.startswith(TRASH)]
            return sum(self._rados.used(one) for one in there if wanted is None or one in wanted)

    def create(self, name: str, size: int, format_: str) -> None:
        try:
            with as_refusals(self.places, size, self.fullness.heard):
                self.openings.begun.add(name)
                if format_ == "qcow2":
                    self._rados.qcow2(MOVING + name, size, QCOW2)
                else:
                    lengths.create(self._rados, MOVING + name, size)
        except BaseException:
            self.settle(name, Belongs.NOWHERE)
            raise

    def grow(self, name: str, size: int) -> None:
        with as_refusals(self.places, size, self.fullness.heard):
            image = find(self._rados, name)
            if lengths.of(self._rados, image) < size:
                lengths.resize(self._rados, image.name, size)
