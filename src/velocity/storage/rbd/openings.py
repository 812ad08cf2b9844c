"""Opens the images of a pool, and removes them permanently once nobody has them open."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from functools import partial
from pathlib import Path
from uuid import uuid4

from velocity.contract.media import Content
from velocity.storage.directory.shared_descriptor import SharedDescriptor
from velocity.storage.inspect import inspect_open
from velocity.storage.port import Stat
from velocity.storage.rbd import lengths
from velocity.storage.rbd.begun import Begun
from velocity.storage.rbd.daemons import Daemons
from velocity.storage.rbd.opened import Daemon, OpenImage
from velocity.storage.rbd.places import GONE, MOVING
from velocity.storage.rbd.rados_pool import Image, RadosPool, whole

log = logging.getLogger(__name__)


def find(rados: RadosPool, name: str) -> Image:
    """The image with this name, also if it could not be renamed yet. Raises `OSError`."""
    for image in (name, MOVING + name):
        with contextlib.suppress(FileNotFoundError):
            return rados.info(image)
    return rados.info(name)  # it may be renamed at this moment


def stat_of(rados: RadosPool, image: Image) -> Stat:
    return Stat(lengths.of(rados, image), rados.used(image.name), image.modified)


class RbdOpenings:
    """Opens one pool's images, as files in the `scratch` directory, one for each user."""

    def __init__(self, rados: RadosPool, scratch: Path) -> None:
        self._rados = rados
        self._writers: dict[str, OpenImage] = {}
        """Images that are open for writing on this host."""
        self.gone: set[str] = set()
        """Images to be deleted as soon as nobody has them open."""
        self.begun = Begun(self.remove, self.gone)
        self.daemons = Daemons(rados, scratch)

    def remove(self, image: str) -> None:
        """Remove an image; its name is free afterwards. A missing one is no error."""
        with contextlib.suppress(FileNotFoundError):
            self._forsake(image)

    def _forsake(self, image: str) -> str:
        gone = f"{GONE}{uuid4()}"
        self._rados.rename(image, gone)
        self.gone.add(gone)
        return gone

    @property
    def unswept(self) -> bool:
        return bool(self.gone) or bool(self.daemons.ending())

    def sweep(self) -> None:
        self.daemons.sweep()
        for image in sorted(self.gone):
            try:
                with contextlib.suppress(FileNotFoundError):
                    self._rados.remove(image)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    log.warning("RBD image %s cannot be removed now: %s", self._rados.image(image), error)
            else:
                self.gone.discard(image)

    def close(self) -> None:
        self.daemons.close()

    def read(self, name: str) -> SharedDescriptor:
        return self._opened_to_read(find(self._rados, name))

    def edit(self, name: str) -> SharedDescriptor:
        return self._opened_to_write(find(self._rados, name).name)

    def begin(self, name: str) -> SharedDescriptor:
        self._rados.create(MOVING + name, 0)
        self.begun.add(name)
        return self._opened_to_write(MOVING + name)

    def fill(self, name: str) -> SharedDescriptor:
        return self._opened_to_write(MOVING + name)

    def go_on(self, name: str, size: int) -> SharedDescriptor:
        if lengths.of(self._rados, self._rados.info(MOVING + name)) < size:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        lengths.forget(self._rados, MOVING + name)
        self.begun.add(name)
        left = self.fill(name)
        with left.use() as descriptor:
            os.ftruncate(descriptor, size)  # removes the padding to a whole sector
        return left

    def take_out(self, name: str) -> SharedDescriptor:
        return self._opened_to_read(self._rados.info(self._forsake(MOVING + name)))

    def lend(self, name: str, *, readonly: bool, coming: bool) -> int:
        image = self._in_the_cluster(self._rados.info(MOVING + name) if coming else find(self._rados, name))
        with self.daemons.lending() as place:
            daemon = Daemon(self._rados, image.name, place, readonly=readonly, lent=True)
            if coming and not readonly:
                self.begun.lent(name, daemon)
            return daemon.open()

    def probe(self) -> SharedDescriptor | None:
        return None

    def inspect(self, name: str, format_: str = "raw") -> Content:
        made = self._opened_to_read(self._rados.info(MOVING + name))
        try:
            with made.use() as descriptor:
                return inspect_open(descriptor, format_, made.stat().size)
        finally:
            made.close()

    def sync_coming(self) -> None:
        """Names are durable at once."""

    def _opened_to_read(self, found: Image) -> OpenImage:
        image = self._in_the_cluster(found)
        return self._opened(image.name, stat_of(self._rados, image))

    def _opened_to_write(self, image: str) -> OpenImage:
        opened = self._writers[image] = self._opened(image, None)
        return opened

    def _opened(self, image: str, was: Stat | None) -> OpenImage:
        daemon = self.daemons.start(image, readonly=was is not None)
        return OpenImage(daemon.open(), daemon, was, partial(lengths.note, self._rados, image))

    def _in_the_cluster(self, image: Image) -> Image:
        """The image, with everything written on this host, and in whole sectors."""
        writer = self._writers.pop(image.name, None)
        if writer is not None:
            try:
                with writer.use() as descriptor:
                    os.fsync(descriptor)
            except OSError as error:
                if error.errno != errno.EBADF:  # it was closed, and has been written back
                    raise
            image = self._rados.info(image.name)
        if image.size != whole(image.size):
            lengths.resize(self._rados, image.name, image.size)
            image = self._rados.info(image.name)
        return image
