"""The objects of one pool on RBD: `<mid>.<format>` is an image, with a prefix where it comes, goes, or is in the trash.

What is removed gets another name first, and goes when nobody has it open any more.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time
from collections.abc import Collection
from functools import partial
from pathlib import Path
from uuid import uuid4

from velocity.contract.media import Content
from velocity.storage.directory.disk_errors import as_refusals
from velocity.storage.directory.files import QCOW2, PoolFiles
from velocity.storage.directory.identity import Identity
from velocity.storage.directory.shared_descriptor import SharedDescriptor
from velocity.storage.inspect import inspect_open
from velocity.storage.port import Belongs, Space, Stat
from velocity.storage.rbd.fullness import RbdFullness
from velocity.storage.rbd.lent import LENT, end_unused, lent
from velocity.storage.rbd.opened import Daemon, OpenImage
from velocity.storage.rbd.places import GONE, MOVING, TRASH, RbdPlaces
from velocity.storage.rbd.rados_pool import whole

log = logging.getLogger(__name__)


class RbdFiles(PoolFiles):
    """One pool's. Programs are asked for everything: it is to be called in a thread."""

    def __init__(self, places: RbdPlaces, identity: Identity) -> None:
        super().__init__(places, identity)
        self._rados = places.rados
        self.fullness: RbdFullness = RbdFullness(places)
        self._writers: dict[str, OpenImage] = {}
        """Images that are written to here."""
        self._gone: set[str] = set()
        """Those that are to be removed, as soon as nobody has them open."""
        self._beginning: set[Path] = set()
        """Files of daemons that machines are about to get."""

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
                with contextlib.suppress(OSError):  # at the next start
                    self._remove_image(image)
        self._gone |= {image for image in there if image.startswith(GONE)}

    def _put(self, name: str, belongs: Belongs) -> None:
        if belongs is Belongs.NOWHERE:
            for prefix in (TRASH, MOVING):
                self._remove_image(prefix + name)
            return
        image = name if belongs is Belongs.KEPT else TRASH + name
        with contextlib.suppress(FileNotFoundError):
            try:
                self._rados.rename(MOVING + name, image)
            except FileExistsError:  # what was there before: a crash leaves either of them, under a name that is known
                self._remove_image(image)
                self._rados.rename(MOVING + name, image)

    def _remove_image(self, image: str) -> None:
        """Its name is free afterwards. One that is not there is no failure."""
        gone = f"{GONE}{uuid4()}"
        with contextlib.suppress(FileNotFoundError):
            self._rados.rename(image, gone)
            self._gone.add(gone)

    @property
    def left(self) -> bool:
        return super().left or bool(self._gone) or bool(lent(self.places.path))

    def sweep(self) -> None:
        end_unused(self.places.path, self._beginning)
        for image in sorted(self._gone):
            try:
                with contextlib.suppress(FileNotFoundError):
                    self._rados.remove(image)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    log.warning("RBD image %s cannot be removed now: %s", self._rados.image(image), error)
            else:
                self._gone.discard(image)

    def lift(self, name: str) -> None:
        with self._turn, as_refusals(self.places):
            with contextlib.suppress(FileNotFoundError):
                self._rados.rename(name, MOVING + name)
            self._left.pop(name, None)

    def bring_back(self, name: str) -> None:
        with self._turn, as_refusals(self.places):
            try:
                self._rados.rename(TRASH + name, MOVING + name)
            except FileExistsError:
                pass
            except FileNotFoundError:
                self._rados.info(MOVING + name)  # it is there already, or refused
            self._left.pop(name, None)

    # What there is

    def _image(self, name: str) -> str:
        """The one of this name: as if coming, as long as it could not be renamed."""
        for _ in range(2):  # it may be renamed in this moment
            for image in (name, MOVING + name):
                with contextlib.suppress(FileNotFoundError):
                    self._rados.info(image)
                    return image
        return name

    def stat(self, name: str) -> Stat | None:
        for image in (name, MOVING + name):
            with contextlib.suppress(OSError):
                return self._stat(image)
        return None

    def _length(self, image: str) -> int:
        return self._rados.length(image, int(self._rados.info(image)["size"]))

    def _stat(self, image: str) -> Stat:
        info = self._rados.info(image)
        modified = time.mktime(time.strptime(info["modify_timestamp"]))
        return Stat(self._rados.length(image, int(info["size"])), self._rados.used(image), modified)

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
                if format_ == "qcow2":
                    self._rados.qcow2(MOVING + name, size, QCOW2)
                else:
                    self._rados.create(MOVING + name, size)
        except BaseException:
            self.settle(name, Belongs.NOWHERE)
            raise

    def grow(self, name: str, size: int) -> None:
        with as_refusals(self.places, size, self.fullness.heard):
            image = self._image(name)
            if self._length(image) < size:
                self._rados.resize(image, size)

    # What opens an image

    def read(self, name: str) -> SharedDescriptor:
        return self._opened(self._image(name), readonly=True)

    def edit(self, name: str) -> SharedDescriptor:
        return self._opened(self._image(name))

    def begin(self, name: str) -> SharedDescriptor:
        self._rados.create(MOVING + name, 0)
        return self._opened(MOVING + name)

    def fill(self, name: str) -> SharedDescriptor:
        return self._opened(MOVING + name)

    def go_on(self, name: str, size: int) -> SharedDescriptor:
        if self._length(MOVING + name) < size:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        self._rados.forget_length(MOVING + name)
        left = self.fill(name)
        with left.use() as descriptor:
            os.ftruncate(descriptor, size)  # its end is not there yet
        return left

    def take_out(self, name: str) -> SharedDescriptor:
        gone = f"{GONE}{uuid4()}"
        self._rados.rename(MOVING + name, gone)
        self._gone.add(gone)
        return self._opened(gone, readonly=True)

    def lend(self, name: str, *, readonly: bool, coming: bool) -> int:
        image = MOVING + name if coming else self._image(name)
        self._settled(image)
        place = self.places.path / f"{LENT}{uuid4()}"
        self._beginning.add(place)
        try:
            return Daemon(self._rados, image, place, readonly=readonly, lent=True).open()
        finally:
            self._beginning.discard(place)

    def probe(self) -> SharedDescriptor | None:
        return None

    def inspect(self, name: str, format_: str = "raw") -> Content:
        made = self._opened(MOVING + name, readonly=True)
        try:
            with made.use() as descriptor:
                return inspect_open(descriptor, format_, made.stat().size)
        finally:
            made.close()

    def sync_moving(self) -> None:
        """Names are durable as soon as they are there."""

    def _opened(self, image: str, *, readonly: bool = False) -> OpenImage:
        was = self._settled(image) if readonly else None
        daemon = Daemon(self._rados, image, self.places.path / str(uuid4()), readonly=readonly)
        opened = OpenImage(daemon.open(), daemon, was, partial(self._rados.note_length, image))
        if not readonly:
            self._writers[image] = opened
        return opened

    def _settled(self, image: str) -> Stat:
        """One that is read next: what was written to it here is in the cluster, and it ends with a whole sector."""
        writer = self._writers.pop(image, None)
        if writer is not None:
            with contextlib.suppress(OSError), writer.use() as descriptor:  # it was closed: so it is
                os.fsync(descriptor)
        size = int(self._rados.info(image)["size"])
        if size != whole(size):
            self._rados.resize(image, size)
        return self._stat(image)
