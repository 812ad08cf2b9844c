"""Reads and writes files so that they survive a crash of the host. fsync(2)"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")


def sync(directory: Path) -> None:
    """Make durable what was created, moved or removed in the directory."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(file: Path) -> None:
    """Make durable what was written into the file, by any process."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def content(file: Path) -> bytes:
    """The content of a file. Raises `OSError`, also for a pipe or a device: reading one might never end."""
    with open(file, "rb", opener=_without_waiting) as found:
        if not stat.S_ISREG(os.fstat(found.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(file))
        return found.read()


def _without_waiting(file: str, flags: int) -> int:
    """Opens it, also where it is a pipe into which nobody writes. fifo(7)"""
    return os.open(file, flags | os.O_NONBLOCK)


def read(file: Path, kind: type[T]) -> T:
    """What `write` has written. Raises `OSError`, and `msgspec.DecodeError` if the content is anything else."""
    try:
        return msgspec.json.decode(content(file), type=kind)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(str(error)) from None


def write(file: Path, data: bytes, *, mode: int = 0o600, lasting: bool = True) -> None:
    """Replace the file's content: after a crash, the file holds all of the old one or all of the new one.

    `lasting`: also after a crash of the host. A failed write leaves nothing. Raises `OSError`.
    """
    new = file.with_name(f".{file.name}.new")
    try:
        with os.fdopen(_create(new), "wb") as out:
            out.write(data)
            out.flush()
            os.fchmod(out.fileno(), mode)
            if lasting:
                os.fsync(out.fileno())
        new.rename(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        if str(error.filename) == str(new):
            error.filename = str(file)  # nobody has asked for the other one
        raise
    if lasting:
        sync(file.parent)


def _create(file: Path) -> int:
    """A descriptor. One that is there goes first: it may be somebody else's, who could read what is written into it."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with contextlib.suppress(FileExistsError):
        return os.open(file, flags, 0o600)
    file.unlink()
    return os.open(file, flags, 0o600)
