"""Whether an image is complete: the end of a truncated copy would read as zeros. Trusts nothing.

For qcow2 and VHDX, `qemu-img check` finds most problems; the others are checked here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

from velocity.storage.formats import refused
from velocity.storage.qcow2 import EXTENDED, end_of_data, guest_disk
from velocity.storage.vhd import footer

COMPRESSED, AT_END = 1 << 16, (1 << 64) - 1
MOST_TABLES = 1 << 17
"""Grain tables of a VMDK that are read: those of 4 TiB."""
AGAIN = "copy or download it again"

Read = Callable[[int, int], bytes]


def check_whole(kind: str, read: Read, size: int) -> None:
    """Refuse an image that is shorter than its header says, which `check_alone` has checked."""
    needs = {"vmdk": _vmdk, "vdi": _vdi, "vhd": _vhd, "vhdx": _vhdx}.get(kind)
    try:
        if needs is not None and (least := needs(read, size)) > size:
            raise refused(f"it is cut short: it has {size} bytes of at least {least}: {AGAIN}")
    except (struct.error, OverflowError):
        raise refused(f"it is cut short, or damaged: {AGAIN}") from None


def check_qcow2(read: Read, size: int, found: Mapping[str, Any]) -> None:
    """Uses the results of `qemu-img check`, which accepts a truncated last cluster."""
    end = int(found.get("image-end-offset", 0))
    try:
        least = _qcow2(read, end, bool(found.get("compressed-clusters")))
    except (struct.error, OverflowError):
        raise refused("its header is invalid") from None
    if size < least:
        raise refused(f"it is cut short: it has {size} bytes of {end}: {AGAIN}")
    if found.get("corruptions") or found.get("check-errors"):
        raise refused(
            f"it is cut short or damaged: {AGAIN}; if it is the same where it came from, repair it there with "
            "`qemu-img check -r all IMAGE`"
        )


def _qcow2(read: Read, end: int, compressed: bool) -> int:
    """The least size of the file; the last cluster ends at `end`.

    Some last clusters may be partial: tables, compressed data, subclusters, and the one at the disk's end.
    """
    head = read(0, 104).ljust(104, b"\0")
    bits, disk, _, entries, table = struct.unpack_from(">IQIIQ", head, 20)
    if not 9 <= bits <= 21:
        raise struct.error
    snapshots, listed = struct.unpack_from(">IQ", head, 60)
    features, _, extras = struct.unpack_from(">QQQ", head, 72) if head[7] == 3 else (0, 0, 0)
    least, last = end, end - (1 << bits)
    if last <= table < end:
        least = table + 8 * entries
    elif not features & EXTENDED and disk % (1 << bits) and _place(read, disk >> bits) == last:
        least = last + disk % (1 << bits)
    elif compressed or features & EXTENDED:
        data = end_of_data(read, last)
        least = last + 1 if data is None else data - 511 if data > last else end
    if extras or (snapshots and last <= listed < end):
        least = min(least, last + 1)
    return int(least)


def _place(read: Read, cluster: int) -> int:
    disk = guest_disk(read)
    return 0 if disk is None else disk.place(cluster)


def _vdi(read: Read, size: int) -> int:
    head = read(0, 512)
    (data,) = struct.unpack_from("<I", head, 0x158)
    block, extra, _, allocated = struct.unpack_from("<IIII", head, 0x178)
    return int(data + allocated * (block + extra))


def _vhdx(read: Read, size: int) -> int:
    """qemu-img checks the rest, but counts whole sectors only."""
    return size if size % 512 == 0 else size + 1


def _vhd(read: Read, size: int) -> int:
    """All VHDs have a footer at the end."""
    return size if footer(read, size) is not None else size + 1


def _vmdk(read: Read, size: int) -> int:
    head = read(0, 512)
    (flags,) = struct.unpack_from("<I", head, 8)
    (directory,) = struct.unpack_from("<Q", head, 56)
    if directory == AT_END and read(size - 1024, 4) != b"KDMV":
        return size + 1
    if flags & COMPRESSED:  # qemu-img refuses truncated grains
        return 0
    capacity, grain = struct.unpack_from("<QQ", head, 12)
    (entries,) = struct.unpack_from("<I", head, 44)
    if not grain or not 0 < entries <= 512 or directory > 1 << 50:
        raise struct.error
    count = -(-capacity // (grain * entries))
    if count > MOST_TABLES:
        raise refused("its disk is larger than 4 TiB: convert it first with `qemu-img convert -O qcow2 IMAGE NEW`")
    tables = struct.unpack(f"<{count}I", read(directory * 512, count * 4))
    last = 0
    grains: tuple[int, ...] = ()
    for table in dict.fromkeys(one for one in tables if one):
        grains = struct.unpack(f"<{entries}I", read(table * 512, entries * 4))
        last = max(last, *grains)
    if last <= 1:  # 1: a grain of zeros
        return 0
    ends = capacity % grain and tables[-1] and grains[-(-capacity // grain) - 1 - (count - 1) * entries] == last
    return int(last + (capacity % grain if ends else grain)) * 512
