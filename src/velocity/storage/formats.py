"""Formats of disk images: what they are, and whether one names files other than itself. Trusts nothing, opens nothing.

QEMU docs/interop/qcow2.txt; VMware "Virtual Disk Format" 5.0; VirtualBox VDICore.h; xz-file-format 1.1; RFC 8878.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

from velocity.contract.problems import Problem, Refused

QCOW2_KNOWN = 0b1_1000
"""Incompatible features that say nothing of other files: compression type, extended L2."""
DESCRIPTOR = 64 << 10
VDI_DYNAMIC, VDI_FIXED = 1, 2

Read = Callable[[int, int], bytes]


def check_alone(kind: str, read: Read) -> None:
    """Refuse an image that names another file, is encrypted, or was not closed properly."""
    check = {"qcow2": _qcow2, "vmdk": _vmdk, "vdi": _vdi}.get(kind)
    try:
        if check is not None:
            check(read)
    except (struct.error, UnicodeDecodeError):
        raise refused("its header is invalid") from None


def refused(why: str) -> Refused:
    return Refused(Problem.NOT_AN_IMAGE, f"the image cannot be imported: {why}", field="mid")


def _qcow2(read: Read) -> None:
    head = read(0, 104)
    version, backing = struct.unpack_from(">IQ", head, 4)
    crypt = struct.unpack_from(">I", head, 32)[0]
    if version not in (2, 3):
        raise refused(f"qcow2 version {version} is not supported")
    if backing:
        raise refused("it has a backing file: flatten it first with `qemu-img convert -O qcow2 IMAGE FLAT`")
    if crypt:
        raise refused("it is encrypted")
    if version == 3:
        incompatible = struct.unpack_from(">Q", head, 72)[0]
        if incompatible & 0b100:
            raise refused("its data is in another file: combine them with `qemu-img convert -O qcow2 IMAGE ONE`")
        if incompatible & 0b11:
            raise refused("it was not closed cleanly: repair it first with `qemu-img check -r all IMAGE`")
        if incompatible & ~QCOW2_KNOWN:
            raise refused("it uses features that are not supported here")


def _vmdk(read: Read) -> None:
    head = read(0, 512)
    if not head.startswith(b"KDMV"):
        raise refused("it only describes a disk whose data is in other files: upload it as one monolithic VMDK")
    capacity, _, offset, length = struct.unpack_from("<QQQQ", head, 12)
    if not capacity or not offset or not length:
        raise refused("it contains no disk, or no disk description")
    text = read(offset * 512, min(length * 512, DESCRIPTOR)).split(b"\0", 1)[0].decode("latin-1")
    words = dict(re.findall(r'(?m)^\s*(\w+)\s*=\s*"?([^"\r\n]*)"?\s*$', text))
    kind = words.get("createType", "")
    if kind not in ("monolithicSparse", "streamOptimized"):
        raise refused(f"it is a VMDK of type {kind[:40]!r}: upload it as monolithicSparse or streamOptimized")
    if words.get("parentCID", "ffffffff").lower() != "ffffffff" or "parentFileNameHint" in words:
        raise refused("it is a snapshot and needs its parent: consolidate it first")
    extents = re.findall(r"(?m)^\s*(?:RW|RDONLY|NOACCESS)\s+\d+\s+(\w+)", text)
    if extents != ["SPARSE"]:
        raise refused("it refers to other files: upload it as one monolithic VMDK")


def _vdi(read: Read) -> None:
    kind = struct.unpack_from("<I", read(0, 512), 0x4C)[0]
    if kind not in (VDI_DYNAMIC, VDI_FIXED):
        raise refused("it is a snapshot and needs its parent: clone it in VirtualBox first")
