"""What the bytes of a medium turn out to be. Reads little, trusts nothing, and refuses nothing.

ECMA-119 (ISO 9660) 8.4; El Torito 1.0; UEFI 2.10, 13.3.2.1 (removable media boot); QEMU docs/interop/qcow2.txt.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

from msgspec import UNSET

from velocity.contract.media import Content

SECTOR = 2048
EFI_PLATFORM = 0xEF
BOOT_FILES = {b"BOOTX64 EFI": "x86_64", b"BOOTAA64EFI": "aarch64", b"BOOTIA32EFI": "x86", b"BOOTRISCEFI": "riscv64"}
"""The names of UEFI's removable-media loaders, as a FAT directory holds them (8.3)."""
ESP_SCAN = 64 << 20
"""Bytes of an EFI boot image that are searched for those names."""

MAGICS = (
    (0, b"QFI\xfb", "qcow2"),
    (0, b"KDMV", "vmdk"),
    (0, b"# Disk DescriptorFile", "vmdk"),
    (64, b"\x7f\x10\xda\xbe", "vdi"),
    (0, b"vhdxfile", "vhdx"),
    (0, b"\xfd7zXZ\0", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (512, b"EFI PART", "gpt"),
    (510, b"\x55\xaa", "mbr"),
)

Read = Callable[[int, int], bytes]


def inspect(path: Path) -> Content:
    """Describe the file. Raises `OSError` only; bytes that make no sense are `unknown`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(descriptor).st_size
        return describe(lambda offset, length: os.pread(descriptor, length, offset), size)
    finally:
        os.close(descriptor)


def describe(read: Read, size: int) -> Content:
    """Describe what `read(offset, length)` gives; it gives less at the end of the medium."""
    if read(16 * SECTOR + 1, 5) == b"CD001":
        return _iso(read, size)
    for offset, magic, name in MAGICS:
        if read(offset, len(magic)) == magic:
            return Content(format=name)
    head = read(0, 1 << 20)
    return Content(format="unknown" if head.strip(b"\0") else "blank")


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
    """Offsets of the boot images for EFI in the El Torito catalog."""
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
        block = read(offset, step + 10)  # a name may lie across two blocks
        found |= {name for file, name in BOOT_FILES.items() if file in block}
        if not block or found:
            break
        offset += step
    return found
