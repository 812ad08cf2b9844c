"""VHD images, which are recognized by their end, and VHDX. Trusts nothing.

Microsoft "Virtual Hard Disk Image Format Specification" 1.0; [MS-VHDX] 2.2.3 and 2.6.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

MARK = b"conectix"
FIXED, DYNAMIC = 2, 3

REGIONS, MOST = 192 << 10, 64
"""Where a VHDX lists its regions, and how many entries of a list are read."""
METADATA = bytes.fromhex("06a27c8b90479a4bb8fe575f050f886e")
PARAMETERS = bytes.fromhex("3767a1ca36fa434db3b633f0aa44e76b")
HAS_PARENT = 0b10

Read = Callable[[int, int], bytes]


def is_vhd(read: Read, size: int) -> bool:
    """Whether it is one. All except fixed ones have a copy of the footer at the beginning."""
    return read(0, len(MARK)) == MARK or footer(read, size) is not None


def footer(read: Read, size: int) -> bytes | None:
    """None if there is no valid footer at the end. Old ones are one byte shorter."""
    for length in (512, 511):
        found = read(size - length, length) if size >= length else b""
        if found.startswith(MARK) and len(found) >= 511:
            stated = struct.unpack_from(">I", found, 64)[0]
            if ~(sum(found) - sum(found[64:68])) & 0xFFFFFFFF == stated:
                return found
    return None


def vhdx_has_parent(read: Read) -> bool:
    """Whether it is a differencing disk."""
    regions = read(REGIONS, 16 + 32 * MOST)
    for at in range(16, len(regions) - 31, 32):
        if regions[at : at + 16] != METADATA:
            continue
        (region,) = struct.unpack_from("<Q", regions, at + 16)
        items = read(region, 32 + 32 * MOST)
        for item in range(32, len(items) - 31, 32):
            if items[item : item + 16] == PARAMETERS:
                (offset,) = struct.unpack_from("<I", items, item + 16)
                return bool(struct.unpack_from("<II", read(region + offset, 8).ljust(8, b"\0"))[1] & HAS_PARENT)
    return False
