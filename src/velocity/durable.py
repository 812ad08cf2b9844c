"""Files and directories that survive a crash of the host: flushed to the disk. fsync(2)"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")


def sync(directory: Path) -> None:
    """What was made, moved or removed in it is so after a crash, too."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(file: Path) -> None:
    """What was written into it by whoever is there after a crash, too."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(file: Path, kind: type[T]) -> T:
    """What `write` has put there. Raises `OSError`, `msgspec.DecodeError`: whatever else is there now."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(str(error)) from None


def write(file: Path, data: bytes) -> None:
    """Put it in the place of what the file holds: after a crash, it holds the one or the other, whole."""
    new = file.with_name(f"{file.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(descriptor)
    new.replace(file)
    sync(file.parent)
