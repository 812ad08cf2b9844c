"""Files that a command makes for its user."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from velocity.cli import ending


@contextlib.contextmanager
def replacing(file: Path) -> Iterator[BinaryIO]:
    """What is written replaces the file once it is complete; after a failure the file is as it was.

    A device or a pipe is written to: replacing /dev/stdout, or /dev/null, would break the host. To an open file
    (such as /dev/stdout, redirected) it is appended: it may have content, and more may follow.
    """
    if is_special(file):
        with file.open("ab" if _is_descriptor(file) else "wb") as out:
            yield out
        return
    ending.in_order()
    real = file.resolve()
    part = real.with_name(f".velocity-{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as out:
            if real.exists():
                part.chmod(real.stat().st_mode & 0o777)
            yield out
            out.flush()
            os.fsync(out.fileno())  # else a crash of the host could leave neither the old content nor the new
        part.replace(real)
    finally:
        part.unlink(missing_ok=True)


def is_special(file: Path) -> bool:
    """Whether it is there and no regular file, but a device, a pipe, a directory or a descriptor."""
    return file.exists() and (not file.is_file() or _is_descriptor(file))


def _is_descriptor(file: Path) -> bool:
    """Whether its name leads to an open file of a process, as /dev/stdout and /dev/fd/1 do. proc_pid_fd(5)"""
    while True:
        file = file.parent.resolve() / file.name
        if file.is_relative_to("/proc"):
            return True
        if not file.is_symlink():
            return False
        file = file.parent / file.readlink()
