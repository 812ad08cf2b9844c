"""VHD images, which say at their end what they are. Trusts nothing.

Microsoft "Virtual Hard Disk Image Format Specification" 1.0.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

MARK = b"conectix"
FIXED, DYNAMIC = 2, 3

Read = Callable[[int, int], bytes]


def is_vhd(read: Read, size: int) -> bool:
    """All but fixed ones have their footer at the beginning too."""
    return read(0, len(MARK)) == MARK or footer(read, size) is not None


def footer(read: Read, size: int) -> bytes | None:
    """None: it has no sound one at its end. Old ones are a byte shorter."""
    for length in (512, 511):
        found = read(size - length, length) if size >= length else b""
        if found.startswith(MARK) and len(found) >= 511:
            stated = struct.unpack_from(">I", found, 64)[0]
            if ~(sum(found) - sum(found[64:68])) & 0xFFFFFFFF == stated:
                return found
    return None
