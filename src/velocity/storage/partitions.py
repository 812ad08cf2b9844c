"""Partition tables: recognizes them, and finds where partitions begin. Trusts nothing.

UEFI 2.10, chapter 5.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from msgspec import Struct

SECTOR = 512
GPT = b"EFI PART"
ESP = bytes.fromhex("28732ac11ff8d211ba4b00a0c93ec93b")
"""C12A7328-F81F-11D2-BA4B-00A0C93EC93B, the EFI system partition."""
MBR_ESP, MBR_OF_GPT = 0xEF, 0xEE
MOST = 256
"""Entries that are read."""

Read = Callable[[int, int], bytes]


class Partition(Struct, frozen=True):
    """`offset` is in bytes; `esp`: it is an EFI System Partition."""

    offset: int
    esp: bool


class Table(Struct, frozen=True):
    """`needs`: the least size of the disk, in bytes; a smaller one is truncated."""

    kind: str
    needs: int
    partitions: tuple[Partition, ...]


def table(read: Read) -> Table | None:
    """The disk's table; None if there is none."""
    for sector in (512, 4096):
        if read(sector, len(GPT)) == GPT:
            return _gpt(read, sector)
    head = read(0, 512)
    return _mbr(head) if head[510:] == b"\x55\xaa" else None


def _gpt(read: Read, sector: int) -> Table:
    """GPT. Its second copy is on the last sector. A table with a wrong checksum is ignored."""
    head = read(sector, sector)
    length, stated = struct.unpack_from("<II", head.ljust(512, b"\0"), 12)
    sound = 92 <= length <= len(head) and zlib.crc32(head[:16] + bytes(4) + head[20:length]) == stated
    if not sound:
        return Table("gpt", 0, ())
    (other,) = struct.unpack_from("<Q", head, 32)
    first, count, size = struct.unpack_from("<QII", head, 72)
    partitions = []
    if 128 <= size <= 4096 and first < 1 << 50:
        entries = read(first * sector, min(count, MOST) * size)
        for at in range(0, len(entries) - size + 1, size):
            kind, begin = entries[at : at + 16], struct.unpack_from("<Q", entries, at + 32)[0]
            if kind.strip(b"\0") and begin < 1 << 50:
                partitions.append(Partition(begin * sector, kind == ESP))
    return Table("gpt", min((other + 1) * sector, 1 << 62), tuple(partitions))


def _mbr(head: bytes) -> Table:
    """MBR. A disk may end within its last partition, as in images that grow at the first boot, but not before it."""
    partitions = []
    for at in range(446, 510, 16):
        state, kind, begin, length = head[at], head[at + 4], *struct.unpack_from("<II", head, at + 8)
        if state not in (0, 0x80):
            return Table("mbr", 0, ())
        if kind and kind != MBR_OF_GPT and length:
            partitions.append(Partition(begin * SECTOR, kind == MBR_ESP))
    needs = max((one.offset + SECTOR for one in partitions), default=0)
    return Table("mbr", needs, tuple(partitions))
