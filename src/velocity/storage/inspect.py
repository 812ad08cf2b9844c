"""What a medium contains, judging by its bytes. Reads little, trusts nothing, refuses nothing.

ECMA-119 (ISO 9660) 8.4; El Torito 1.0; UEFI 2.10, 13.3.2.1 (removable media boot); RFC 8878, 3.1.2 (skippable frames).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

from msgspec import UNSET

from velocity.contract.media import Content
from velocity.storage.fat import BOOT_FILES, Fat, fat
from velocity.storage.partitions import Table, table
from velocity.storage.qcow2 import guest_disk
from velocity.storage.vhd import is_vhd

SECTOR = 2048
EFI_PLATFORM = 0xEF
ESP_SCAN = 64 << 20
"""Bytes of an EFI boot image that are searched for loaders."""
ZERO_SCAN, STEP = 64 << 20, 1 << 20
"""Bytes that are read to find out whether all are zero, in total and at a time."""
SKIPS = 64
"""Skippable frames that are skipped at the beginning of a zstd file."""

MAGICS = (
    (0, b"QFI\xfb", "qcow2"),
    (0, b"KDMV", "vmdk"),
    (0, b"COWD", "vmdk"),
    (0, b"# Disk DescriptorFile", "vmdk"),
    (64, b"\x7f\x10\xda\xbe", "vdi"),
    (0, b"vhdxfile", "vhdx"),
    (0, b"\xfd7zXZ\0", "xz"),
    (0, b"\x1f\x8b\x08", "gzip"),
    (4, b"1AY&SY", "bzip2"),
    (4, b"\x17rE8P\x90", "bzip2"),
    (0, b"PK\x03\x04", "zip"),
    (257, b"ustar", "tar"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"Rar!\x1a\x07", "rar"),
    (0, b"\x04\x22\x4d\x18", "lz4"),
    (0, b"LZIP", "lzip"),
    (0, b"\x89LZO\0\r\n\x1a\n", "lzop"),
    (0, b"QED\0", "qed"),
    (0, b"WithoutFreeSpace", "parallels"),
    (0, b"WithouFreSpacExt", "parallels"),
    (0, b"EVF\x09\x0d\x0a\xff\0", "ewf"),
    (0, b"MSWIM\0\0\0", "wim"),
    (0, b"\x3a\xff\x26\xed", "android-sparse"),
)
FILE_SYSTEMS = (
    (3, b"NTFS    ", "ntfs"),
    (0, b"XFSB", "xfs"),
    (0, b"LUKS\xba\xbe", "luks"),
    (0x438, b"\x53\xef", "ext4"),
    (0x10040, b"_BHRfS_M", "btrfs"),
)
"""Signatures on a whole disk; for FAT see `velocity.storage.fat`."""

Read = Callable[[int, int], bytes]
NextData = Callable[[int], int]
"""From an offset: where the next byte that may not be zero is."""


def inspect(path: Path, format_: str = "raw") -> Content:
    """Describe a file. Raises `OSError` only; nonsense is `unknown`.

    For the format qcow2, the disk in the image is described.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return inspect_open(descriptor, format_)
    finally:
        os.close(descriptor)


def inspect_open(descriptor: int, format_: str = "raw", size: int | None = None) -> Content:
    """Describe an open file; `size` if the descriptor's is rounded."""
    size = os.fstat(descriptor).st_size if size is None else size

    def read(offset: int, length: int) -> bytes:
        return os.pread(descriptor, length, offset) if offset < 1 << 62 else b""

    def next_data(offset: int) -> int:
        try:
            return os.lseek(descriptor, offset, os.SEEK_DATA)
        except OSError:  # ENXIO: there is no more data. lseek(2)
            return size

    if format_ != "qcow2":
        return describe(read, size, next_data)
    disk = guest_disk(read)
    return Content(format="qcow2") if disk is None else describe(disk.read, disk.size, disk.next_data)


def describe(read: Read, size: int, next_data: NextData = lambda offset: offset) -> Content:
    """Describe what `read(offset, length)` returns; it returns less at the end."""
    if read(16 * SECTOR + 1, 5) == b"CD001":
        return _iso(read, size)
    for offset, magic, name in MAGICS:
        if read(offset, len(magic)) == magic and (name != "bzip2" or read(0, 3) == b"BZh"):
            return Content(format=name)
    if is_vhd(read, size):
        return Content(format="vhd")
    if _is_zstd(read):
        return Content(format="zstd")
    if size >= 512 and read(size - 512, 4) == b"koly":
        return Content(format="dmg")
    return _disk(read, size, next_data)


def _disk(read: Read, size: int, next_data: NextData) -> Content:
    for offset, magic, name in FILE_SYSTEMS:
        if read(offset, len(magic)) == magic:
            return Content(format=name)
    if (whole := fat(read, 0)) is not None:
        return _fat(whole)
    if (found := table(read)) is not None:
        return _partitioned(read, found, size)
    head = read(0, 4096)
    if b"dmtf.org/ovf/envelope" in head:
        return Content(format="ovf")
    return Content(format="blank" if _is_zero(read, size, next_data) else "unknown")


def _fat(whole: Fat) -> Content:
    found = sorted(whole.loaders())
    return Content(
        format="fat", label=whole.label or UNSET, volume_size=whole.size, boots_efi=bool(found),
        architectures=found or UNSET,
    )  # fmt: skip


def _partitioned(read: Read, found: Table, size: int) -> Content:
    """The loaders on FAT partitions, which EFI finds. Installed systems may need variables of the firmware instead."""
    systems = [system for one in found.partitions if (system := fat(read, one.offset)) is not None]
    loaders = sorted({name for system in systems for name in system.loaders()})
    maybe = any(one.esp for one in found.partitions)
    return Content(
        format=found.kind,
        volume_size=found.needs if (found.kind == "gpt" and found.needs) or found.needs > size else UNSET,
        boots_efi=True if loaders else UNSET if maybe else False,
        architectures=loaders or UNSET,
    )


def _is_zero(read: Read, size: int, next_data: NextData) -> bool:
    offset, left = 0, ZERO_SCAN
    while (offset := next_data(offset)) < size:
        block = read(offset, STEP)
        if left <= 0 or not block or block.strip(b"\0"):
            return False
        offset, left = offset + len(block), left - len(block)
    return True


def _is_zstd(read: Read) -> bool:
    offset = 0
    for _ in range(SKIPS):
        head = read(offset, 8)
        if head[:4] == b"\x28\xb5\x2f\xfd":
            return True
        if len(head) < 8 or head[0] & 0xF0 != 0x50 or head[1:4] != b"\x2a\x4d\x18":
            break
        offset += 8 + int.from_bytes(head[4:], "little")
    return False


def _iso(read: Read, size: int) -> Content:
    label = read(16 * SECTOR + 40, 32).decode("ascii", "replace").strip(" \0")
    label = "".join(character for character in label if character.isprintable())
    images = _efi_images(read)
    found = sorted({name for image in images for name in _architectures(read, image, size)})
    volume = struct.unpack_from("<I", read(16 * SECTOR + 80, 4).ljust(4, b"\0"))[0] * SECTOR
    return Content(
        format="iso9660",
        volume_size=volume,
        label=label or UNSET,
        boots_efi=bool(images),
        architectures=found or UNSET,
    )


def _efi_images(read: Read) -> list[int]:
    """Offsets of the EFI boot images in the El Torito catalog."""
    for sector in range(17, 32):
        record = read(sector * SECTOR, 75)
        if record[1:6] != b"CD001" or record[0] == 255:
            break
        if record[0] == 0 and record[7:30] == b"EL TORITO SPECIFICATION":
            return _catalog(read(struct.unpack_from("<I", record, 71)[0] * SECTOR, SECTOR))
    return []


def _catalog(catalog: bytes) -> list[int]:
    images: list[int] = []
    platform = catalog[1] if len(catalog) > 1 else 0
    for offset in range(32, len(catalog) - 31, 32):
        kind = catalog[offset]
        if kind in (0x90, 0x91):
            platform = catalog[offset + 1]
        elif kind == 0x88 and platform == EFI_PLATFORM:
            images.append(struct.unpack_from("<I", catalog, offset + 8)[0] * SECTOR)
        elif kind == 0x00 and offset > 32:
            break
    return images


def _architectures(read: Read, offset: int, size: int) -> set[str]:
    found: set[str] = set()
    end = min(offset + ESP_SCAN, size)
    step = 1 << 20
    while offset < end:
        block = read(offset, step + 10)  # overlapping, as a name may be in two blocks
        found |= {name for file, name in BOOT_FILES.items() if file in block}
        if not block or found:
            break
        offset += step
    return found
