"""Opens the objects of a pool: here as files, elsewhere as something equivalent."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from velocity.contract.media import Content
from velocity.durable import sync
from velocity.storage.directory.places import Places
from velocity.storage.directory.shared_descriptor import SharedDescriptor
from velocity.storage.inspect import inspect


class Openings(Protocol):
    """Opens the objects of one pool, by name. All methods raise `OSError`, block, and are called in threads."""

    def read(self, name: str) -> SharedDescriptor: ...

    def edit(self, name: str) -> SharedDescriptor: ...

    def begin(self, name: str) -> SharedDescriptor:
        """A new, empty object that is being received."""

    def fill(self, name: str) -> SharedDescriptor:
        """An object that is being received, for writing."""

    def go_on(self, name: str, size: int) -> SharedDescriptor:
        """An object that is being received, to continue after so many bytes. Raises `FileNotFoundError` if it has
        fewer.
        """

    def take_out(self, name: str) -> SharedDescriptor:
        """An object that is being received, for reading; its name is removed."""

    def lend(self, name: str, *, readonly: bool, coming: bool) -> int:
        """A descriptor for a machine."""

    def probe(self) -> SharedDescriptor | None:
        """A file without a name, to try what the file system supports; None if there is none."""

    def inspect(self, name: str, format_: str = "raw") -> Content:
        """Inspect an object that is being received."""

    def sync_coming(self) -> None:
        """Make the names of objects that are being received durable."""

    @property
    def unswept(self) -> bool:
        """Whether `sweep` has anything to do."""

    def sweep(self) -> None:
        """Free the space of removed objects that nobody has open any more. May take long."""

    def close(self) -> None:
        """The server ends: release what it has open itself."""


class FileOpenings:
    """Opens files in a directory. `find` gives a file's path."""

    unswept = False

    def __init__(self, places: Places, find: Callable[[str], Path]) -> None:
        self._moving = places.moving
        self._find = find

    def read(self, name: str) -> SharedDescriptor:
        return SharedDescriptor(os.open(self._find(name), os.O_RDONLY | os.O_CLOEXEC))

    def edit(self, name: str) -> SharedDescriptor:
        return SharedDescriptor(os.open(self._find(name), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC))

    def begin(self, name: str) -> SharedDescriptor:
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
        return SharedDescriptor(os.open(self._moving / name, flags, 0o600))

    def fill(self, name: str) -> SharedDescriptor:
        return SharedDescriptor(os.open(self._moving / name, os.O_RDWR | os.O_CLOEXEC))

    def go_on(self, name: str, size: int) -> SharedDescriptor:
        left = self.fill(name)
        try:
            if left.stat().size < size:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            left.truncate(size)
        except BaseException:
            left.close()
            raise
        return left

    def take_out(self, name: str) -> SharedDescriptor:
        made = SharedDescriptor(os.open(self._moving / name, os.O_RDONLY | os.O_CLOEXEC))
        try:
            (self._moving / name).unlink()
        except BaseException:
            made.close()
            raise
        return made

    def lend(self, name: str, *, readonly: bool, coming: bool) -> int:
        path = self._moving / name if coming else self._find(name)
        return os.open(path, (os.O_RDONLY if readonly else os.O_RDWR) | os.O_CLOEXEC)

    def probe(self) -> SharedDescriptor | None:
        try:
            return SharedDescriptor(os.open(self._moving, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))
        except OSError:
            return None

    def inspect(self, name: str, format_: str = "raw") -> Content:
        return inspect(self._moving / name, format_)

    def sync_coming(self) -> None:
        sync(self._moving)

    def sweep(self) -> None:
        """unlink(2) has done so already."""

    def close(self) -> None:
        """The end of the process does that."""
