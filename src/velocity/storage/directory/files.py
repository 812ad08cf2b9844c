"""The files of one pool: `<mid>.<format>` in its directory, `.moving` for unfinished ones, and `.trash`.

A file lies in `.moving` while the database does not yet, or no longer, know it. After a crash the database decides:
what it knows is moved into place, the rest is removed. So nothing that was acknowledged is lost, and nothing remains
of what was not. What follows a commit (`settle`) never fails: what the file system refuses is done later.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
import subprocess
import threading
from collections.abc import Collection
from pathlib import Path

from velocity.durable import sync
from velocity.storage.directory.blocklist import Blocklist
from velocity.storage.directory.disk_errors import as_refusals
from velocity.storage.directory.fullness import Fullness
from velocity.storage.directory.identity import Identity
from velocity.storage.directory.images import take_back
from velocity.storage.directory.openings import FileOpenings, Openings
from velocity.storage.directory.places import Places
from velocity.storage.port import Belongs, Space, Stat

log = logging.getLogger(__name__)


class PoolFiles:
    """One pool's directory, by the names of its files.

    What looks at the file system takes as long as that does: it is to be called in a thread.
    """

    def __init__(self, places: Places, identity: Identity) -> None:
        self.places = places
        self._path = places.path
        self._identity = identity
        self.fullness = Fullness(places.path)
        self.blocklist = Blocklist(places.name)
        self.openings: Openings = FileOpenings(places, self.path)
        self._moving = places.moving
        self._trash = places.trash
        self._turn = threading.Lock()
        self._left: dict[str, Belongs] = {}

    def open(
        self, kept: Collection[str], trashed: Collection[str], coming: Collection[str] = (), *, tidy: bool = True
    ) -> None:
        """Make the directories, and finish or undo what a crash interrupted; what cannot be removed is, later.

        The names are the database's: of its media, of those in the trash, and of uploads that go on. `tidy` False: it
        is another host that has put them in order.
        """
        for directory in (self._path, self._moving, self._trash):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if tidy:
            self._put_in_order(kept, trashed, coming)

    def _put_in_order(self, kept: Collection[str], trashed: Collection[str], coming: Collection[str]) -> None:
        for names, place in ((kept, self._path), (trashed, self._trash)):
            for name in names:
                for other in {self._path, self._moving, self._trash} - {place}:
                    if (other / name).exists() and not (place / name).exists():
                        (other / name).rename(place / name)
        for name in kept if not self.places.shared else ():
            self._take_back(self._path / name)
        for directory, names in ((self._moving, coming), (self._trash, trashed)):
            for file in directory.iterdir():
                if file.name not in names:
                    self._remove(file, again=file.name not in trashed)
        for directory in (self._path, self._trash):
            sync(directory)

    def _take_back(self, file: Path) -> None:
        """One that a crash left readable to a group, as it was being read (`images.lend`), or another's, as it grew."""
        with contextlib.suppress(OSError):
            facts = file.lstat()
            if os.geteuid() == 0 and (facts.st_uid, facts.st_gid) != (os.geteuid(), os.getegid()):
                descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    take_back(descriptor)
                finally:
                    os.close(descriptor)

    def _remove(self, file: Path, *, again: bool) -> None:
        """One that nobody knows; it is tried again later, or at the next start."""
        try:
            file.unlink()
        except OSError as error:
            log.warning("%s belongs to no medium and cannot be removed now: %s", file, error)
            if again and not self.places.shared:
                self._left[file.name] = Belongs.NOWHERE

    def path(self, name: str) -> Path:
        """Where its bytes are: in `.moving` as long as it could not be moved into place."""
        for _ in range(2):  # it may be moved in this moment
            for file in (self.places.kept(name), self._moving / name):
                if file.is_file():
                    return file
        return self.places.kept(name)

    def stat(self, name: str) -> Stat | None:
        """None: it cannot be seen."""
        for file in (self.places.kept(name), self._moving / name):
            with contextlib.suppress(OSError):
                facts = file.stat()
                if stat.S_ISREG(facts.st_mode):
                    return Stat(facts.st_size, facts.st_blocks * 512, facts.st_mtime)
        return None

    def moving(self, name: str) -> Path:
        return self._moving / name

    def free(self) -> int:
        """Bytes that may still be written here."""
        facts = os.statvfs(self._path)
        return facts.f_bavail * facts.f_frsize

    def space(self) -> Space:
        with as_refusals(self.places):
            facts = os.statvfs(self._path)
            return Space(facts.f_blocks * facts.f_frsize, self.free())

    def trashed(self, names: Collection[str] | None) -> int:
        """Bytes that would be free without the trash (None), or without these files of it."""
        with as_refusals(self.places):
            files = [file for file in self._trash.iterdir() if names is None or file.name in names]
            return sum(file.stat().st_blocks * 512 for file in files)

    def create(self, name: str, size: int, format_: str) -> None:
        """An empty, sparse file in `.moving`. Raises `Refused(POOL_QUOTA)` when the file system cannot have it."""
        target = self.moving(name)
        try:
            with as_refusals(self.places, size, self.fullness.heard):
                if format_ == "qcow2":
                    _qcow2(target, size)
                descriptor = os.open(target, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
                try:
                    os.fchmod(descriptor, 0o600)
                    if format_ == "raw":
                        os.ftruncate(descriptor, size)
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
                sync(self._moving)
        except BaseException:
            self.settle(name, Belongs.NOWHERE)
            raise

    def grow(self, name: str, size: int) -> None:
        """A raw one has so many bytes; one that has more keeps them."""
        with as_refusals(self.places, size, self.fullness.heard):
            descriptor = os.open(self.path(name), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if os.fstat(descriptor).st_size < size:
                    os.ftruncate(descriptor, size)
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def lift(self, name: str) -> None:
        """Out of place, before the database forgets it. A file that is not there any more is no failure."""
        with self._turn, as_refusals(self.places):
            if (kept := self.places.kept(name)).is_file():
                kept.rename(self.moving(name))
            self._left.pop(name, None)

    def bring_back(self, name: str) -> None:
        """From the trash to `.moving`, before the database has it again."""
        with self._turn, as_refusals(self.places):
            if not self.moving(name).exists():
                (self._trash / name).rename(self.moving(name))
            self._left.pop(name, None)

    # After a commit

    @property
    def left(self) -> bool:
        """Whether something is to be done that the file system refused."""
        return bool(self._left)

    def settle(self, name: str, belongs: Belongs, *, again: bool = False, told: bool = False) -> None:
        """Put it where it belongs, now or later. `again`: only if it is left to do.

        In a shared pool nothing is done later: raises `OSError` if it was `told`, and will be again.
        """
        with self._turn:
            if again and self._left.get(name) != belongs:
                return
            try:
                if not self._identity.fits():
                    raise OSError(errno.ENODEV, "the pool is away")
                self._put(name, belongs)
            except OSError as error:
                if told and self.places.shared:
                    raise  # maybe to another host: this one would be late
                if not again:
                    log.warning("%s cannot be put in order now, will retry: %s", self._path / name, error)
                if not self.places.shared:
                    self._left[name] = belongs
            else:
                self._left.pop(name, None)

    def finish_what_is_left(self) -> None:
        """Try again what the file system refused."""
        for name, belongs in list(self._left.items()):
            self.settle(name, belongs, again=True)

    def _put(self, name: str, belongs: Belongs) -> None:
        if belongs is Belongs.NOWHERE:
            for directory in (self._trash, self._moving):  # there, if it could not be brought into the trash
                (directory / name).unlink(missing_ok=True)
            return
        place = self.places.kept(name) if belongs is Belongs.KEPT else self._trash / name
        if place.parent.parent == self._path:  # a machine's directory
            place.parent.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            self.moving(name).rename(place)
        sync(place.parent)


QCOW2 = "extended_l2=on,cluster_size=128k"
"""Parts of 4 KiB are given out and written alone, with half the tables. Needs QEMU 5.2 wherever it is read.

https://www.qemu.org/docs/master/interop/qcow2.html, "Extended L2 Entries"
"""


def _qcow2(target: Path, size: int) -> None:
    done = subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-o", QCOW2, str(target), str(size)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise OSError(errno.EFBIG, "qemu-img cannot create it")
