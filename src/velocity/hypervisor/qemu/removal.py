"""Removes directories that a guest's process could write to, however deep and wide what lies in them is.

shutil.rmtree goes down by recursion, with an open file for each level: a thousand end it, whatever errors it is to
ignore. Here each directory that is found is lifted to the top first, so that nothing is deeper than one level.
"""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(directory: Path) -> None:
    """Remove it with all that is in it, following no link; the process that wrote there is gone.

    Raises `OSError`, `FileNotFoundError` when it is not there: what is left is to be removed later.
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
    """Whether it was no directory, and is gone."""
    try:
        os.unlink(name, dir_fd=parent)
    except IsADirectoryError:
        return False
    return True


def _empty(name: str, top: int) -> None:
    """Remove what is in that directory; directories in it are lifted to the top."""
    directory = os.open(name, OPEN, dir_fd=top)
    try:
        for entry in _names(directory):
            if not _unlinked(entry, directory):
                os.rename(entry, str(uuid4()), src_dir_fd=directory, dst_dir_fd=top)
    finally:
        os.close(directory)
