"""Files that a command makes for its user."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from velocity.cli import ending


@contextlib.contextmanager
def replacing(file: Path) -> Iterator[BinaryIO]:
    """What is written replaces the file once it is complete; after a failure the file is as it was.

    A device or a pipe is written to: replacing /dev/stdout, or /dev/null, would break the host.
    """
    if is_special(file):
        with file.open("wb") as out:
            yield out
        return
    ending.in_order()
    real = file.resolve()
    part = real.with_name(f".{real.name}.part")
    try:
        with part.open("wb") as out:
            yield out
        part.replace(real)
    finally:
        part.unlink(missing_ok=True)


def is_special(file: Path) -> bool:
    """Whether it is there and no regular file: a device, a pipe, a directory."""
    return file.exists() and not file.is_file()
