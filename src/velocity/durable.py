"""Reads and writes files so that they survive a crash of the host. fsync(2)"""

from __future__ import annotations

import os
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


def read(file: Path, kind: type[T]) -> T:
    """What `write` has written. Raises `OSError`, and `msgspec.DecodeError` if the content is anything else."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(str(error)) from None


def write(file: Path, data: bytes) -> None:
    """Replace the file's content: after a crash, the file holds all of the old one or all of the new one."""
    new = file.with_name(f"{file.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(descriptor)
    new.replace(file)
    sync(file.parent)
