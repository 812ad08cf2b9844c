"""The files of one pool: `<mid>.<format>` in its directory, `.moving` for unfinished ones, and `.trash`.

A file is in `.moving` while the database does not know it, or not any more. After a crash the database decides: known
files are moved to their places, others are removed. So nothing acknowledged is lost, and nothing else is left over.
What follows a commit (`settle`) is never refused: what the file system refuses is repeated later.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import stat
import subprocess
import threading
from collections.abc import Collection
from pathlib import Path

from velocity.contract.problems import Problem, Refused
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

NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.(raw|qcow2)")
NAMED = 5
"""Files that a message names; of more, only the number is given."""


class PoolFiles:
    """One pool's directory, by the names of its files.

    Methods that use the file system block, and are called in threads.
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
        """Create the directories, and finish or undo what a crash has interrupted; what cannot be removed is removed
        later.

        The names are those in the database: of media, of media in the trash, and of resumable uploads. `tidy` False:
        another host has done this.
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
        self._tell_of_unknown({*kept, *coming})

    def _tell_of_unknown(self, known: Collection[str]) -> None:
        """Files that the database does not know are left alone: it may be older than the pool."""
        unknown = sorted(one.name for one in self._path.iterdir() if NAME.fullmatch(one.name) and one.name not in known)
        if unknown:
            more = f" and {len(unknown) - NAMED} more" if len(unknown) > NAMED else ""
            log.warning(
                "pool %r: no medium in the database has %s%s in %s: their media were deleted while the pool was not "
                "declared, or an older database was restored, and they are newer",
                self.places.name, ", ".join(unknown[:NAMED]), more, self._path,
            )  # fmt: skip

    def _take_back(self, file: Path) -> None:
        """Restore the owner of a file that a crash left to a group while it was being read (`images.lend`), or to
        another user while it was growing.
        """
        with contextlib.suppress(OSError):
            facts = file.lstat()
            if os.geteuid() == 0 and (facts.st_uid, facts.st_gid) != (os.geteuid(), os.getegid()):
                descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    take_back(descriptor)
                finally:
                    os.close(descriptor)

    def _remove(self, file: Path, *, again: bool) -> None:
        """Remove an unknown file. If that fails, it is repeated later, or at the next start."""
        try:
            file.unlink()
        except OSError as error:
            log.warning("%s belongs to no medium and cannot be removed now: %s", file, error)
            if again and not self.places.shared:
                self._left[file.name] = Belongs.NOWHERE

    def path(self, name: str) -> Path:
        """The path of a file: in `.moving` if it could not be moved to its place."""
        for _ in range(2):  # it may be moved at this moment
            for file in self._files_of(name):
                if file.is_file():
                    return file
        return self.places.kept(name)

    def _files_of(self, name: str) -> tuple[Path, Path]:
        """Where it may be. The first that exists is the one: a compacted file replaces the old one of its name."""
        kept, moving = self.places.kept(name), self._moving / name
        return (moving, kept) if self._left.get(name) is Belongs.KEPT else (kept, moving)

    def stat(self, name: str) -> Stat | None:
        """None if it cannot be read, or is hidden and only still to be removed."""
        goes = self._left.get(name, Belongs.KEPT) is not Belongs.KEPT
        for file in (self.places.kept(name),) if goes else self._files_of(name):
            with contextlib.suppress(OSError):
                facts = file.stat()
                if stat.S_ISREG(facts.st_mode):
                    return Stat(facts.st_size, facts.st_blocks * 512, facts.st_mtime)
        return None

    def _hidden(self, name: str) -> Path:
        return self._moving / name

    def free(self) -> int:
        """The free space, in bytes."""
        facts = os.statvfs(self._path)
        return facts.f_bavail * facts.f_frsize

    def space(self) -> Space:
        with as_refusals(self.places):
            facts = os.statvfs(self._path)
            return Space(facts.f_blocks * facts.f_frsize, self.free())

    def trashed(self, names: Collection[str] | None) -> int:
        """Bytes that deleting these files of the trash would free; None: all of it."""
        with as_refusals(self.places):
            files = [file for file in self._trash.iterdir() if names is None or file.name in names]
            return sum(file.stat().st_blocks * 512 for file in files)

    def create(self, name: str, size: int, format_: str) -> None:
        """Create an empty, sparse file in `.moving`.

        Raises `Refused`: `POOL_QUOTA` if the file system has no room, `UNAVAILABLE` if the host lacks what it takes.
        """
        target = self._hidden(name)
        self.begin_anew(name)
        try:
            with as_refusals(self.places, size, self.fullness.heard):
                target.unlink(missing_ok=True)
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

    def begin_anew(self, name: str) -> None:
        """Before a new file of this name is begun, what is left to do with an older one is done. Raises `Refused`."""
        with self._turn, as_refusals(self.places):
            if (belongs := self._left.get(name)) is not None:
                self._put(name, belongs)
                del self._left[name]

    def grow(self, name: str, size: int) -> None:
        """Enlarge a raw file to so many bytes; a larger one is not changed."""
        with as_refusals(self.places, size, self.fullness.heard):
            descriptor = os.open(self.path(name), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if os.fstat(descriptor).st_size < size:
                    os.ftruncate(descriptor, size)
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def lift(self, name: str) -> None:
        """Move it to `.moving` before the database deletes it. A missing file is no error."""
        with self._turn, as_refusals(self.places):
            if (kept := self.places.kept(name)).is_file():
                kept.rename(self._hidden(name))
            self._left.pop(name, None)

    def bring_back(self, name: str) -> None:
        """Move it from the trash to `.moving` before the database restores it."""
        with self._turn, as_refusals(self.places):
            if not self._hidden(name).exists():
                (self._trash / name).rename(self._hidden(name))
            self._left.pop(name, None)

    # After a commit

    @property
    def left(self) -> bool:
        """Whether something that the file system has refused has to be repeated."""
        return bool(self._left)

    def settle(self, name: str, belongs: Belongs, *, again: bool = False, told: bool = False) -> None:
        """Move it where it belongs, now or later. `again`: only if that is still to be done.

        In a shared pool nothing is repeated: raises `OSError` if the call was `told`, as the caller repeats it.
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
                    raise  # the caller may ask another host, and this one must not interfere later
                if not again:
                    log.warning("%s cannot be put in order now, will retry: %s", self._path / name, error)
                if not self.places.shared:
                    self._left[name] = belongs
            else:
                self._left.pop(name, None)

    def finish_what_is_left(self) -> None:
        """Repeat what the file system has refused."""
        for name, belongs in list(self._left.items()):
            self.settle(name, belongs, again=True)

    def _put(self, name: str, belongs: Belongs) -> None:
        if belongs is Belongs.NOWHERE:
            for directory in (self._trash, self._moving):  # in `.moving`, if it could not be moved into the trash
                (directory / name).unlink(missing_ok=True)
            return
        place = self.places.kept(name) if belongs is Belongs.KEPT else self._trash / name
        if place.parent.parent == self._path:  # a machine's directory
            place.parent.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            self._hidden(name).rename(place)
        sync(place.parent)


QCOW2 = "extended_l2=on,cluster_size=128k"
"""Allocates parts of 4 KiB, with tables of half the size. Every reader needs QEMU 5.2.

https://www.qemu.org/docs/master/interop/qcow2.html, "Extended L2 Entries"
"""


CREATED = 60
"""Seconds for qemu-img to create an empty image, of some hundred KiB."""
TOO_LARGE = re.compile("image size|exceeds maximum", re.IGNORECASE)
"""What qemu-img says of a size that the format does not allow."""


def _qcow2(target: Path, size: int) -> None:
    """Raises `OSError`; `Refused(UNAVAILABLE)` if there is no qemu-img."""
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-o", QCOW2, str(target), str(size)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CREATED, check=False)
    except subprocess.TimeoutExpired:
        raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)) from None
    except FileNotFoundError:
        words = "this host has no qemu-img, which creates disks of the format qcow2"
        raise Refused(Problem.UNAVAILABLE, f"{words}; nothing was changed: install it, or use the format raw") from None
    if done.returncode:  # its message has the error of the system, if there is one
        number = next((one for one in errno.errorcode if os.strerror(one) in done.stderr), None)
        if number is None:
            number = errno.EFBIG if TOO_LARGE.search(done.stderr) else errno.EIO
            said = done.stderr.strip().splitlines()
            log.warning("%s: qemu-img failed: %s", target, said[-1] if said else f"exit code {done.returncode}")
        raise OSError(number, os.strerror(number))
