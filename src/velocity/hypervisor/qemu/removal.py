"""Removes directories that a guest's process could write to, however deep and wide their content.

shutil.rmtree descends recursively with an open file per level, so a thousand levels make it fail even if it ignores
errors. Here each directory found is first moved to the top, so that nothing is deeper than one level.
"""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(directory: Path) -> None:
    """Remove it with its content, following no links; the process that wrote there has ended.

    Raises `OSError`, or `FileNotFoundError` if it does not exist: call it again later for what is left.
    """
    top = os.open(directory, OPEN)
    try:
        while names := _names(top):
            for name in names:
                if not _unlinked(name, top):
                    _empty(name, top)
                    os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    directory.rmdir()


def _names(directory: int) -> list[str]:
    with os.scandir(directory) as found:
        return [entry.name for entry in found]


def _unlinked(name: str, parent: int) -> bool:
    """Whether it was not a directory, and is removed."""
    try:
        os.unlink(name, dir_fd=parent)
    except IsADirectoryError:
        return False
    return True


def _empty(name: str, top: int) -> None:
    """Remove the content of that directory, moving directories in it to the top."""
    directory = os.open(name, OPEN, dir_fd=top)
    try:
        for entry in _names(directory):
            if not _unlinked(entry, directory):
                os.rename(entry, str(uuid4()), src_dir_fd=directory, dst_dir_fd=top)
    finally:
        os.close(directory)
