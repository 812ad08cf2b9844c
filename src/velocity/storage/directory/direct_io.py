"""Whether files support direct I/O, past the host's page cache. open(2), O_DIRECT"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from pathlib import Path

ALIGNMENTS = (512, 4096)
"""The alignments that a file system may require; QEMU tries the same."""


def lacks(descriptor: int, *, grows: bool = True) -> str:
    """Why an open file does not support it; empty if it does. Found by trying to read.

    Unless it `grows`, its size must be a multiple of the alignment, as QEMU requires.
    """
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_DIRECT)
        alignment = next((one for one in ALIGNMENTS if _reads(descriptor, one)), None)
    except OSError:
        alignment = None
    finally:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)
    if alignment is None:
        return "its file system has no direct I/O"
    if not grows and os.fstat(descriptor).st_size % alignment:
        return f"its size is no multiple of {alignment:,} bytes"
    return ""


def directory_lacks(directory: Path) -> str:
    """Why new files in a directory do not support it. Leaves nothing behind. Raises `OSError`."""
    with tempfile.TemporaryFile(dir=directory) as file:
        file.write(bytes(ALIGNMENTS[-1]))
        file.flush()
        return lacks(file.fileno())


def _reads(descriptor: int, length: int) -> bool:
    """Whether so few bytes can be read at the start; mmap(2) gives aligned memory."""
    with mmap.mmap(-1, ALIGNMENTS[-1]) as page, memoryview(page) as memory, memory[:length] as part:
        try:
            os.preadv(descriptor, [part], 0)
        except OSError:
            return False
    return True
