"""The disk in a qcow2 image, as far as needed to recognize its content. Trusts nothing, and opens no other file.

QEMU docs/interop/qcow2.txt
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable

from msgspec import Struct

OFFSET = 0x00FF_FFFF_FFFF_FE00
COMPRESSED, ZERO = 1 << 62, 1
EXTENDED = 0b1_0000
"""A feature bit: clusters have 32 subclusters, which are allocated separately."""
HEAD = 104
"""The least bytes of a header."""
PARTS = 5
"""log2 of the number of subclusters."""
MOST_TABLES, MOST_ENTRIES = 1 << 20, 1 << 22

Read = Callable[[int, int], bytes]


class Disk(Struct, frozen=True):
    """`size` is in bytes. Compressed clusters read as zeros."""

    image: Read
    size: int
    cluster_bits: int
    tables: tuple[int, ...]
    extended: bool = False

    def read(self, offset: int, length: int) -> bytes:
        data, end = b"", min(offset + length, self.size)
        while offset < end:
            bits = self.cluster_bits - (PARTS if self.extended else 0)
            inside = offset & ((1 << bits) - 1)
            piece = min(end - offset, (1 << bits) - inside)
            place = self._part(offset >> bits) if self.extended else self.place(offset >> bits)
            data += (self.image(place + inside, piece) if place else b"").ljust(piece, b"\0")
            offset += piece
        return data

    def next_data(self, offset: int) -> int:
        span = 2 * self.cluster_bits - (4 if self.extended else 3)
        for number in range(offset >> span, len(self.tables)):
            if self.tables[number]:
                return max(offset, number << span)
        return self.size

    def place(self, cluster: int) -> int:
        """The offset in the image; 0 if it reads as zeros."""
        found = self._entry(cluster, 8)
        return 0 if found & (COMPRESSED | ZERO) else found & OFFSET

    def _part(self, number: int) -> int:
        """The offset of a subcluster; 0 if it reads as zeros."""
        cluster, part = divmod(number, 1 << PARTS)
        found = self._entry(cluster, 16)
        place = found >> 64 & OFFSET
        there = found >> part & 1 and not found >> 64 & COMPRESSED and place
        return place + (part << (self.cluster_bits - PARTS)) if there else 0

    def _entry(self, cluster: int, length: int) -> int:
        """The entry of a table, of so many bytes; 0 if there is none."""
        number, entry = divmod(cluster, (1 << self.cluster_bits) // length)
        if number >= len(self.tables) or not self.tables[number]:
            return 0
        return int.from_bytes(self.image(self.tables[number] + entry * length, length), "big")


def granularity(head: bytes) -> tuple[int, int] | None:
    """The size of a cluster, and of the unit of allocation, in bytes; None if this is not such a header."""
    if len(head) < HEAD or head[:4] != b"QFI\xfb":
        return None
    version, bits = struct.unpack_from(">I", head, 4)[0], struct.unpack_from(">I", head, 20)[0]
    extended = version >= 3 and struct.unpack_from(">Q", head, 72)[0] & EXTENDED
    return (1 << bits, 1 << (bits - PARTS if extended else bits)) if 9 <= bits <= 21 else None


def guest_disk(image: Read) -> Disk | None:
    """The disk; None if it is too complicated."""
    head = image(0, 104).ljust(104, b"\0")
    magic, version, backing, bits, size, crypt, entries, table = struct.unpack_from(">4sIQ4xIQIIQ", head)
    features = struct.unpack_from(">Q", head, 72)[0] if version >= 3 else 0
    extended, unknown = bool(features & EXTENDED), features & ~(0b1000 | EXTENDED)
    least = 14 if extended else 9
    if magic != b"QFI\xfb" or backing or crypt or unknown or not least <= bits <= 21 or entries > MOST_TABLES:
        return None
    found = image(table, entries * 8)
    tables = tuple(one & OFFSET for (one,) in struct.iter_unpack(">Q", found[: len(found) & ~7]))
    return Disk(image, size, bits, tables, extended)


def end_of_data(image: Read, last: int) -> int | None:
    """The end of the last data that is compressed, or in subclusters of the cluster at `last`.

    None if there are too many entries. qcow2.txt, "Cluster mapping"
    """
    head = image(0, 104).ljust(104, b"\0")
    bits, entries, table = struct.unpack_from(">I12xIQ", head, 20)
    extended = head[7] == 3 and struct.unpack_from(">Q", head, 72)[0] & EXTENDED
    if entries > MOST_TABLES:
        return None
    listed = image(table, entries * 8)
    first = array("Q", listed[: len(listed) & ~7])
    first.byteswap()
    tables = dict.fromkeys(one & OFFSET for one in first if one & OFFSET)
    if len(tables) << (bits - 3) > MOST_ENTRIES:
        return None
    shift, found = 70 - bits, 0
    for place in tables:
        second = array("Q", image(place, 1 << bits).ljust(1 << bits, b"\0"))
        second.byteswap()
        for number, entry in enumerate(second[::2] if extended else second):
            if entry >> 62 == 1:
                offset, more = entry & ((1 << shift) - 1), (entry & (COMPRESSED - 1)) >> shift
                found = max(found, (offset | 511) + 1 + more * 512)
            elif extended and entry & OFFSET == last:
                parts = second[2 * number + 1] & 0xFFFF_FFFF
                found = max(found, last + (parts.bit_length() << bits) // 32)
    return found
