"""FAT file systems, as far as UEFI reads them: which boot loaders they contain. Trusts nothing.

Microsoft "FAT: General Overview of On-Disk Format" 1.03; UEFI 2.10, 3.5.1.1 (removable media boot behaviour).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from msgspec import Struct

BOOT_FILES = {b"BOOTX64 EFI": "x86_64", b"BOOTAA64EFI": "aarch64", b"BOOTIA32EFI": "x86", b"BOOTRISCEFI": "riscv64"}
"""UEFI's loaders on removable media, by their names in FAT directories (8.3)."""
PATH = (b"EFI        ", b"BOOT       ")
ENTRY, DIRECTORY, LABEL = 32, 0x10, 0x08
MOST_CLUSTERS, MOST_BYTES = 1024, 1 << 20
"""What is read of a directory, at most."""

Read = Callable[[int, int], bytes]


class Fat(Struct, frozen=True):
    """A file system that begins at `offset`. All values are in bytes."""

    read: Read
    offset: int
    size: int
    label: str
    cluster: int
    table: int
    root: int
    root_length: int
    data: int
    bits: int
    root_cluster: int

    def loaders(self) -> set[str]:
        """The architectures that it boots with EFI."""
        entries = self._root()
        for name in PATH:
            first = next((start for found, start, kind in entries if found == name and kind & DIRECTORY), None)
            if first is None:
                return set()
            entries = self._entries(self._chain(first))
        return {BOOT_FILES[name] for name, _, kind in entries if name in BOOT_FILES and not kind & DIRECTORY}

    def _root(self) -> Iterator[tuple[bytes, int, int]]:
        if self.bits == 32:
            return self._entries(self._chain(self.root_cluster))
        return self._entries(self.read(self.root, min(self.root_length, MOST_BYTES)))

    def _entries(self, directory: bytes) -> Iterator[tuple[bytes, int, int]]:
        """The entries: name, first cluster and attributes."""
        for at in range(0, len(directory) - ENTRY + 1, ENTRY):
            name, kind = directory[at : at + 11], directory[at + 11]
            if name[0] == 0:
                return
            if name[0] != 0xE5 and not kind & LABEL:
                high, low = struct.unpack_from("<H4xH", directory, at + 20)
                yield name, (high << 16 if self.bits == 32 else 0) | low, kind

    def _chain(self, cluster: int) -> bytes:
        data = b""
        for _ in range(MOST_CLUSTERS):
            if cluster < 2 or cluster >= (1 << min(self.bits, 28)) - 16 or len(data) >= MOST_BYTES:
                break
            data += self.read(self.data + (cluster - 2) * self.cluster, self.cluster)
            cluster = self._next(cluster)
        return data

    def _next(self, cluster: int) -> int:
        if self.bits == 12:
            pair = int.from_bytes(self.read(self.table + cluster * 3 // 2, 2), "little")
            return pair >> 4 if cluster % 2 else pair & 0xFFF
        length = self.bits // 8
        entry = int.from_bytes(self.read(self.table + cluster * length, length), "little")
        return entry & 0x0FFFFFFF if self.bits == 32 else entry


def fat(read: Read, offset: int) -> Fat | None:
    """The file system that begins there; None if there is none."""
    head = read(offset, 512)
    if len(head) < 512 or head[510:] != b"\x55\xaa" or head[0] not in (0xEB, 0xE9):
        return None
    sector, per, reserved, tables, roots, few, media, short = struct.unpack_from("<HBHBHHBH", head, 11)
    many, long = struct.unpack_from("<II", head, 32)
    known = sector in (512, 1024, 2048, 4096) and per and not per & (per - 1) and reserved and tables in (1, 2)
    table, sectors = short or long, few or many
    if not known or media < 0xF0 or not table or not sectors:
        return None
    root = reserved + tables * table
    root_sectors = -(-roots * ENTRY // sector)
    clusters = (sectors - root - root_sectors) // per
    bits = 32 if not short else 12 if clusters < 4085 else 16
    signed, label = (head[66], head[71:82]) if bits == 32 else (head[38], head[43:54])
    return Fat(
        read, offset, sectors * sector, _words(label) if signed == 0x29 else "", per * sector,
        offset + reserved * sector, offset + root * sector, roots * ENTRY, offset + (root + root_sectors) * sector,
        bits, struct.unpack_from("<I", head, 44)[0],
    )  # fmt: skip


def _words(label: bytes) -> str:
    text = "".join(one for one in label.decode("ascii", "replace").strip(" \0") if one.isprintable())
    return "" if text == "NO NAME" else text
