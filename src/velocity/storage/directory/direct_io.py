"""Whether files can be read and written past the host's page cache. open(2), O_DIRECT"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from pathlib import Path

ALIGNMENTS = (512, 4096)
"""What a file system may want of offsets and lengths, as QEMU tries them."""


def lacks(descriptor: int, *, grows: bool = True) -> str:
    """Why an open file is not; empty: it is. Found by reading so.

    Unless it `grows`, QEMU wants it to end where an aligned block does.
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
    """The same of new files there; nothing remains of the one that is tried. Raises `OSError`."""
    with tempfile.TemporaryFile(dir=directory) as file:
        file.write(bytes(ALIGNMENTS[-1]))
        file.flush()
        return lacks(file.fileno())


def _reads(descriptor: int, length: int) -> bool:
    """Whether so few bytes can be read at its begin; mmap(2) gives memory that is aligned."""
    with mmap.mmap(-1, ALIGNMENTS[-1]) as page, memoryview(page) as memory, memory[:length] as part:
        try:
            os.preadv(descriptor, [part], 0)
        except OSError:
            return False
    return True
