"""The files of one pool: `<mid>.<format>` in its directory, `.moving` for those that come or go, and `.trash`.

A file lies in `.moving` while the database does not yet, or no longer, know it. After a crash the database decides:
what it knows is moved into place, the rest is removed. So nothing that was acknowledged is lost, and nothing remains
of what was not. What follows a commit (`settle`, `discard`, `drop`, `empty`) never fails: what the file system refuses
is done at a later look at the pool, or at the next start.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from velocity import sizes
from velocity.contract.problems import Problem, Refused
from velocity.durable import sync
from velocity.storage.directory.identity import Identity
from velocity.storage.directory.places import Places

log = logging.getLogger(__name__)

GATHER = 1 << 20
"""Bytes that are gathered before they are written at once."""
SLOW = 0.02
"""Seconds: a write that took longer says that the disk is slow; the next one goes to a thread."""
TOO_LITTLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EINVAL, errno.EOVERFLOW}
SICK = {
    errno.EIO, errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENODEV,
    errno.ENXIO, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EUCLEAN,
}  # fmt: skip
"""A disk that is gone or broken, or that cannot be written to."""

Step = Callable[[str], None]
"""What is done with the file of a name."""


class PoolFiles:
    """One pool's directory. Names are of our making; nothing that a user sent becomes part of one.

    What looks at the file system takes as long as that does: it is to be called in a thread.
    """

    def __init__(self, places: Places, identity: Identity) -> None:
        self._places = places
        self._path = places.path
        self._identity = identity
        self._moving = places.moving
        self._trash = places.trash
        self._turn = threading.Lock()
        self._left: dict[str, Step] = {}

    def open(self, known: Collection[str], discarded: Collection[str]) -> None:
        """Make the directories, and finish or undo what a crash interrupted.

        The names are the database's: those of its media, and of those in the trash.
        """
        for directory in (self._path, self._moving, self._trash):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for names, place in ((known, self._path), (discarded, self._trash)):
            for name in names:
                for other in {self._path, self._moving, self._trash} - {place}:
                    if (other / name).exists() and not (place / name).exists():
                        (other / name).rename(place / name)
        for directory, names in ((self._moving, ()), (self._trash, discarded)):
            for file in directory.iterdir():
                if file.name not in names:
                    file.unlink()
        for directory in (self._path, self._trash):
            sync(directory)

    def path(self, name: str) -> Path:
        """Where a medium's file is: in `.moving` as long as it could not be moved into place."""
        return self.moving(name) if self._left.get(name) == self._settle else self._path / name

    def moving(self, name: str) -> Path:
        return self._moving / name

    def free(self) -> int:
        """Bytes that may still be written here."""
        facts = os.statvfs(self._path)
        return facts.f_bavail * facts.f_frsize

    def size(self) -> int:
        """Bytes of the file system that it lies on."""
        facts = os.statvfs(self._path)
        return facts.f_blocks * facts.f_frsize

    def trashed(self, names: Collection[str] | None = None) -> int:
        """Bytes that would be free without the trash, or without these files of it."""
        files = [file for file in self._trash.iterdir() if names is None or file.name in names]
        return sum(file.stat().st_blocks * 512 for file in files)

    def create(self, name: str, size: int, format_: str) -> None:
        """An empty, sparse file in `.moving`. Raises `Refused(POOL_QUOTA)` when the file system cannot have it."""
        target = self.moving(name)
        try:
            with self.asked_for(size):
                if format_ == "qcow2":
                    _qcow2(target, size)
                descriptor = os.open(target, os.O_CREAT | os.O_RDWR, 0o600)
                try:
                    os.fchmod(descriptor, 0o600)
                    if format_ == "raw":
                        os.ftruncate(descriptor, size)
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
                sync(self._moving)
        except BaseException:
            self.drop(name)
            raise

    @contextlib.contextmanager
    def asked_for(self, size: int) -> Iterator[None]:
        """What the file system refuses within, as the refusal that it means to who wants so many bytes."""
        try:
            yield
        except OSError as error:
            if error.errno in TOO_LITTLE:
                raise Refused(
                    Problem.POOL_QUOTA,
                    f"the pool's disk cannot hold {sizes.size(size)}: remove media, or use another pool or a smaller "
                    "size",
                    field="size",
                ) from None
            if error.errno in SICK:
                log.warning("pool %r (%d): %s", self._places.name, self._places.mpid, error)
                raise Refused(
                    Problem.POOL_AWAY,
                    f"the disk of pool {self._places.name!r} fails ({error.strerror}): use another pool until the "
                    "administrator has mended it; the server's log says more",
                ) from None
            raise

    def lift(self, name: str) -> None:
        """Out of place, before the database forgets it. A file that is not there any more is no failure."""
        with self._turn, self.asked_for(0):
            if (self._path / name).exists():
                (self._path / name).rename(self.moving(name))
            self._left.pop(name, None)

    def bring_back(self, name: str) -> None:
        """From the trash to `.moving`, before the database has it again."""
        with self._turn, self.asked_for(0):
            if not self.moving(name).exists():
                (self._trash / name).rename(self.moving(name))
            self._left.pop(name, None)

    # After a commit

    def settle(self, name: str) -> None:
        """Into place, now that the database knows it."""
        self._finish(name, self._settle)

    def drop(self, name: str) -> None:
        """Out of `.moving`, for good."""
        self._finish(name, self._drop)

    def discard(self, name: str) -> None:
        """From `.moving` into the trash, now that the database has it there."""
        self._finish(name, self._discard)

    def empty(self, name: str) -> None:
        """Out of the trash, for good."""
        self._finish(name, self._empty)

    def finish_what_is_left(self) -> None:
        """Try again what the file system refused."""
        for name, step in list(self._left.items()):
            self._finish(name, step, again=True)

    def _finish(self, name: str, step: Step, *, again: bool = False) -> None:
        with self._turn:
            if again and self._left.get(name) != step:
                return
            try:
                if not self._identity.fits():
                    raise OSError(errno.ENODEV, "the pool is away")
                step(name)
            except OSError as error:
                if not again:
                    log.warning("%s cannot be put in order now, and will be later: %s", self._path / name, error)
                self._left[name] = step
            else:
                self._left.pop(name, None)

    def _settle(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.moving(name).rename(self._path / name)
        sync(self._path)

    def _drop(self, name: str) -> None:
        self.moving(name).unlink(missing_ok=True)

    def _discard(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.moving(name).rename(self._trash / name)
        sync(self._trash)

    def _empty(self, name: str) -> None:
        for directory in (self._trash, self._moving):  # there, if it could not be discarded
            (directory / name).unlink(missing_ok=True)


class Incoming:
    """An upload under way: gathers what comes and writes it in large pieces. Constant memory."""

    def __init__(self, files: PoolFiles, name: str) -> None:
        self._files = files
        self._name = name
        self._descriptor = -1
        self._pieces: list[bytes] = []
        self._gathered = 0
        self.slow = False
        self.size = 0

    def open(self) -> None:
        """Make the file."""
        moving = self._files.moving(self._name)
        with self._files.asked_for(0):
            self._descriptor = os.open(moving, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)

    def add(self, piece: bytes) -> bool:
        """Take a piece; True says that it is time to `flush`."""
        self._pieces.append(piece)
        self._gathered += len(piece)
        self.size += len(piece)
        return self._gathered >= GATHER or len(self._pieces) >= 512

    def flush(self) -> None:
        """Write what was gathered. Raises `Refused(POOL_QUOTA)` when the disk is full."""
        begun = time.monotonic()
        pieces, self._pieces, self._gathered = self._pieces, [], 0
        with self._files.asked_for(self.size):
            while pieces:
                written = os.writev(self._descriptor, pieces)
                while pieces and written >= len(pieces[0]):
                    written -= len(pieces.pop(0))
                if pieces and written:
                    pieces[0] = pieces[0][written:]
        self.slow = time.monotonic() - begun > SLOW

    def sync(self) -> None:
        """To the disk, with the rest of what was gathered."""
        self.flush()
        with self._files.asked_for(self.size):
            os.fdatasync(self._descriptor)
            sync(self._files.moving(self._name).parent)

    def close(self, *, drop: bool) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if drop:
            self._files.drop(self._name)


def _qcow2(target: Path, size: int) -> None:
    done = subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", str(target), str(size)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise OSError(errno.EFBIG, "qemu-img cannot make it")
