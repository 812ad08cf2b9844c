"""What storage must support for a shared pool, found by trying: network file systems differ."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

FLOCK = struct.Struct("hhqqi4x")
"""struct flock of F_OFD_SETLK. fcntl(2), "Open file description locks\""""


def lacks(folder: Path, worker: int | None) -> str:
    """What files in this folder lack, and what to do; empty: nothing. `worker` is the uid that reads images.

    Leaves nothing behind. Raises `OSError` if not even a file can be created.
    """
    name = folder / f"check-{uuid4()}"
    descriptor = os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        tries: tuple[tuple[str, Callable[[], object]], ...] = (
            ("files cannot be made durable", lambda: _write(descriptor)),
            (
                "files cannot be locked, so QEMU starts no VM with a disk there: use NFS 4, or run its lock server",
                lambda: _lock_twice(descriptor, name),
            ),
            (
                "root cannot give files to other users, so nothing is imported, converted or cloned there: export it "
                "with no_root_squash",
                lambda: None if worker is None else os.fchown(descriptor, worker, worker),
            ),
            ("files cannot be linked", lambda: _link(name)),
        )
        for words, work in tries:
            try:
                work()
            except OSError as error:
                return f"{words} ({error.strerror})"
    finally:
        os.close(descriptor)
        name.unlink()
    return ""


def _write(descriptor: int) -> None:
    os.write(descriptor, b"x" * 4096)
    os.fsync(descriptor)


def _lock_twice(descriptor: int, name: Path) -> None:
    """Raises `OSError` also if two descriptors get the lock at once."""
    whole = FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, whole)
    other = os.open(name, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.fcntl(other, fcntl.F_OFD_SETLK, whole)
    except BlockingIOError:
        return
    finally:
        os.close(other)
    raise OSError(0, "two had the same lock")


def _link(name: Path) -> None:
    second = name.with_name(f"{name.name}.second")
    os.link(name, second)
    second.rename(second.with_name(f"{name.name}.third"))
    second.with_name(f"{name.name}.third").unlink()
