"""Edits EFI variables: requests the firmware's setup at the next boot, and removes one machine's boot entries.

The file was written by QEMU, hence possibly by the guest: nothing in it is trusted, no other file is opened, and a
layout other than EDK II's is left alone. UEFI specification 2.10, 8.5.4 (OsIndications); EDK II,
MdePkg/Include/Pi/PiFirmwareVolume.h and MdeModulePkg/Include/Guid/VariableFormat.h
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterator
from uuid import UUID

from msgspec import Struct

from velocity.storage.qcow2 import Disk, guest_disk

GLOBAL = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
NAME = "OsIndications\0".encode("utf-16-le")
BOOT_TO_SETUP = struct.pack("<Q", 1)
COUNTER = UUID("eb704011-1402-11d3-8e77-00a0c969723b")
"""The variable that counts boots."""
BOOTED = re.compile(r"(Boot|Key)([0-9A-F]{4}|Order|Next)")
"""Boot entries, their hot keys and their order."""
NON_VOLATILE, BOOT_SERVICE, RUNTIME = 1, 2, 4
VOLUME = b"_FVH"
STORE = UUID("aaf32c78-947b-439a-a180-2e144ec37792")
"""The GUID of a store of authenticated variables."""
STORE_HEAD, HEAD = 28, struct.Struct("<HBxIQ16xIII16s")
BEGINS, ADDED, DELETED = 0x55AA, 0x3F, 0xFD
MOST = 1 << 20
"""The largest store in bytes that is examined."""


class NotChanged(Exception):
    """The variables do not have the known layout."""


class Variable(Struct, frozen=True):
    offset: int
    state: int
    guid: bytes
    name: bytes


def ask_for_setup(file: int) -> None:
    """In a qcow2 file that is open for writing. Raises `NotChanged`, `OSError`."""
    _change(file, changes)


def forget_boots(file: int) -> None:
    """Remove boot entries and the count of boots, which the firmware creates again. Raises as `ask_for_setup` does."""
    _change(file, lambda volume: list(forgotten(volume)))


def _change(file: int, made: Callable[[bytes], list[tuple[int, bytes]]]) -> None:
    disk = guest_disk(lambda offset, length: os.pread(file, length, offset))
    if disk is None or disk.extended:
        raise NotChanged
    for offset, data in made(disk.read(0, min(disk.size, MOST))):
        _write(file, disk, offset, data)
    os.fsync(file)


def changes(volume: bytes) -> list[tuple[int, bytes]]:
    """The writes, as offset and data, in order: the new variable, its header, then the old one's as deleted."""
    begin, end = _store(volume)
    found = list(_variables(volume, begin, end))
    free = begin if not found else _behind(volume, found[-1].offset)
    data = NAME + BOOT_TO_SETUP
    if free + HEAD.size + len(data) > end or any(one != 0xFF for one in volume[free : free + HEAD.size + len(data)]):
        raise NotChanged
    attributes = NON_VOLATILE | BOOT_SERVICE | RUNTIME
    head = HEAD.pack(BEGINS, ADDED, attributes, 0, 0, len(NAME), len(BOOT_TO_SETUP), GLOBAL.bytes_le)
    old = [one for one in found if one.state == ADDED and (one.guid, one.name) == (GLOBAL.bytes_le, NAME)]
    return [
        (free + HEAD.size, data),
        (free, head),
        *(_deleted(one) for one in old),
    ]


def forgotten(volume: bytes) -> Iterator[tuple[int, bytes]]:
    """The writes, as offset and data, that delete boot entries and the count of boots."""
    begin, end = _store(volume)
    for one in _variables(volume, begin, end):
        name = one.name.decode("utf-16-le", "replace").rstrip("\0")
        boots = one.guid == GLOBAL.bytes_le and BOOTED.fullmatch(name)
        if one.state == ADDED and (boots or one.guid == COUNTER.bytes_le):
            yield _deleted(one)


def _deleted(one: Variable) -> tuple[int, bytes]:
    return one.offset + 2, bytes([one.state & DELETED])


def _store(volume: bytes) -> tuple[int, int]:
    """The offset of the first variable, and the end of the store."""
    if volume[40:44] != VOLUME:
        raise NotChanged
    (at,) = struct.unpack_from("<H", volume, 48)
    if volume[at : at + 16] != STORE.bytes_le or len(volume) < at + STORE_HEAD:
        raise NotChanged
    (size,) = struct.unpack_from("<I", volume, at + 16)
    if at + size > len(volume):
        raise NotChanged
    return at + STORE_HEAD, at + size


def _variables(volume: bytes, at: int, end: int) -> Iterator[Variable]:
    while at + HEAD.size <= end:
        begins, state, _, _, _, name, _, guid = HEAD.unpack_from(volume, at)
        if begins != BEGINS:
            return
        behind = _behind(volume, at)
        if behind > end:
            raise NotChanged
        yield Variable(at, state, guid, volume[at + HEAD.size : at + HEAD.size + name])
        at = behind


def _behind(volume: bytes, at: int) -> int:
    _, _, _, _, _, name, data, _ = HEAD.unpack_from(volume, at)
    return int(at + HEAD.size + name + data + 3) & ~3


def _write(file: int, disk: Disk, offset: int, data: bytes) -> None:
    """Overwrite: a variable may continue in the next cluster, and each cluster has its own offset."""
    while data:
        inside = offset & ((1 << disk.cluster_bits) - 1)
        piece = data[: (1 << disk.cluster_bits) - inside]
        place = disk.place(offset >> disk.cluster_bits)
        if not place or place + inside + len(piece) > os.fstat(file).st_size:
            raise NotChanged
        os.pwrite(file, piece, place + inside)
        offset, data = offset + len(piece), data[len(piece) :]
