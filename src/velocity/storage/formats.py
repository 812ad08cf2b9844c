"""What can be imported, and whether an image refers to other files. Trusts nothing, opens nothing.

QEMU docs/interop/qcow2.txt; VMware "Virtual Disk Format" 5.0; VirtualBox VDICore.h.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable

from velocity.contract.media import Content
from velocity.contract.problems import Problem, Refused
from velocity.storage.vhd import DYNAMIC, FIXED, MARK, vhdx_has_parent

IMAGES = {"qcow2": "qcow2", "vmdk": "vmdk", "vdi": "vdi", "vhdx": "vhdx", "vhd": "vpc"}
"""Image formats whose disk is imported -> QEMU's names for them."""
PACKED = frozenset({"xz", "zstd", "gzip", "bzip2", "tar", "zip"})
"""Formats that are unpacked, and then inspected again."""
REFUSED = {
    "7z": "it is a 7z archive: unpack it first with `7z x`",
    "rar": "it is a RAR archive: unpack it first with `unrar x`",
    "lz4": "it is packed with lz4: unpack it first with `lz4 -d`",
    "lzip": "it is packed with lzip: unpack it first with `lzip -d`",
    "lzop": "it is packed with lzop: unpack it first with `lzop -d`",
    "qed": "it is a QED image: convert it first with `qemu-img convert -O qcow2 IMAGE NEW`",
    "parallels": "it is an image of Parallels: convert it first with `qemu-img convert -O qcow2 IMAGE NEW`",
    "dmg": "it is a disk image of macOS (dmg): convert it first with `qemu-img convert -O qcow2 IMAGE NEW`",
    "ewf": "it is an EnCase image: export it first with `ewfexport -f raw`",
    "wim": "it is a Windows image file (WIM), which holds files and no disk",
    "android-sparse": "it is a sparse image of Android: convert it first with `simg2img`",
    "ovf": "it only describes a machine: import the disk image that it names, or the OVA with both",
}
"""Known formats that are not imported, with the reason and cure."""
CONVERT = "`qemu-img convert -O qcow2 IMAGE NEW`"
DECRYPT = "`qemu-img convert`, with `--object secret` and `--image-opts`"
DIFFERENCING = "it is a differencing disk and needs its parent: merge it first, with `Merge-VHD` or in Hyper-V"
FLATTEN = "`qemu-img convert -O qcow2 IMAGE NEW`, where all its files are"
QCOW2_KNOWN = 0b1_1000
"""Incompatible features without references to other files: compression type, extended L2."""
DESCRIPTOR = 64 << 10
VDI_DYNAMIC, VDI_FIXED = 1, 2
BACKSLASH = "\\"

Read = Callable[[int, int], bytes]


def importable(content: Content, size: int, layer: str | None) -> str:
    """One of `IMAGES` or `PACKED`, or "raw". Raises `Refused(NOT_AN_IMAGE)`, with the reason and cure.

    `layer` is what these bytes were packed in; None: nothing.
    """
    kind = content.format
    if kind in IMAGES or kind in PACKED:
        return kind
    if kind in REFUSED:
        raise refused(REFUSED[kind])
    if isinstance(content.volume_size, int) and content.volume_size > size:
        raise refused(f"{cut(content, size)}: copy or download it again")
    if kind == "blank" and layer is None:
        raise refused("it is blank: create an empty medium instead, or clone it")
    if kind == "unknown" and size % 512 and layer in (None, "tar", "zip"):
        raise refused(
            f"it is not a disk image: its format is unknown, and its {size} bytes are not a whole number of sectors "
            "(512 bytes)"
        )
    return "raw"


def cut(content: Content, size: int) -> str:
    """A message for an image whose file system or partition table needs more bytes than it has."""
    what = "partition table" if content.format in ("gpt", "mbr") else "file system"
    return f"it is cut short: its {what} has {content.volume_size} bytes, it only {size}"


def check_alone(kind: str, read: Read) -> None:
    """Refuse an image that refers to another file, is encrypted, or was not closed properly."""
    check = {"qcow2": _qcow2, "vmdk": _vmdk, "vdi": _vdi, "vhd": _vhd, "vhdx": _vhdx}.get(kind)
    try:
        if check is not None:
            check(read)
    except (struct.error, UnicodeDecodeError, OverflowError):
        raise refused("its header is invalid") from None


def refused(why: str, done: str = "imported") -> Refused:
    """`done`: what cannot be done with it, imported or cloned."""
    return Refused(Problem.NOT_AN_IMAGE, f"the image cannot be {done}: {why}", field="mid")


def has_other_data(head: bytes) -> bool:
    """Whether a qcow2 image has an external data file, which QEMU would open, whatever it is."""
    version, incompatible = struct.unpack_from(">I", head, 4)[0], struct.unpack_from(">Q", head, 72)[0]
    return bool(version >= 3 and incompatible & 0b100)


def _qcow2(read: Read) -> None:
    head = read(0, 104)
    version, backing = struct.unpack_from(">IQ", head, 4)
    crypt = struct.unpack_from(">I", head, 32)[0]
    if version not in (2, 3):
        raise refused(f"qcow2 version {version} is not supported: convert it first with {CONVERT}")
    if backing:
        raise refused("it has a backing file: flatten it first with `qemu-img convert -O qcow2 IMAGE FLAT`")
    if crypt:
        raise refused(f"it is encrypted: decrypt it first with {DECRYPT}")
    if version == 3:
        incompatible = struct.unpack_from(">Q", head, 72)[0]
        if has_other_data(head):
            raise refused("its data is in another file: combine them with `qemu-img convert -O qcow2 IMAGE ONE`")
        if incompatible & 0b11:
            raise refused("it was not closed cleanly: repair it first with `qemu-img check -r all IMAGE`")
        if incompatible & ~QCOW2_KNOWN:
            raise refused(f"it uses features that are not supported here: convert it first with {CONVERT}")


def _vmdk(read: Read) -> None:
    head = read(0, 512)
    if not head.startswith(b"KDMV"):
        raise refused(_parts(head, read(0, DESCRIPTOR).decode("latin-1")))
    capacity, _, offset, length = struct.unpack_from("<QQQQ", head, 12)
    if not capacity:
        raise refused("it contains no disk")
    text = read(offset * 512, min(length * 512, DESCRIPTOR)).split(b"\0", 1)[0].decode("latin-1") if offset else ""
    words = dict(re.findall(r'(?m)^\s*(\w+)\s*=\s*"?([^"\r\n]*)"?\s*$', text))
    kind = words.get("createType", "")
    if not kind:
        raise refused(f"it is one part of a split VMDK, and no disk by itself: make one image of it with {FLATTEN}")
    if kind not in ("monolithicSparse", "streamOptimized"):
        raise refused(f"it is a VMDK of type {kind[:40]!r}: make one image of it with {FLATTEN}")
    if words.get("parentCID", "ffffffff").lower() != "ffffffff" or "parentFileNameHint" in words:
        raise refused("it is a snapshot and needs its parent: consolidate it first, in the program that made it")
    extents = re.findall(r"(?m)^\s*(?:RW|RDONLY|NOACCESS)\s+\d+\s+(\w+)", text)
    if extents != ["SPARSE"]:
        raise refused(f"it refers to other files: make one image of them with {FLATTEN}")


def _parts(head: bytes, text: str) -> str:
    """The other files that a VMDK refers to."""
    if head.startswith(b"COWD"):
        return f"it is one part of a VMDK of ESX: make one image of it with {FLATTEN}"
    names = re.findall(r'(?m)^\s*(?:RW|RDONLY|NOACCESS)\s+\d+\s+\w+\s+"([^"\r\n]*)"', text)
    files = f" ({shown(name.replace(BACKSLASH, '/').rpartition('/')[2] for name in names)})" if names else ""
    return f"it only describes a disk whose data is in other files{files}: make one image of them with {FLATTEN}"


def shown(names: Iterable[str]) -> str:
    """A few file names, made safe to show."""
    clean = ["".join(one for one in name if one.isprintable())[-60:] for name in names]
    return ", ".join(clean[:4]) + (f" and {len(clean) - 4} more" if len(clean) > 4 else "")


def _vdi(read: Read) -> None:
    kind = struct.unpack_from("<I", read(0, 512), 0x4C)[0]
    if kind not in (VDI_DYNAMIC, VDI_FIXED):
        raise refused("it is a snapshot and needs its parent: clone it in VirtualBox first")


def _vhd(read: Read) -> None:
    """A fixed VHD has only a footer, and refers to nothing."""
    head = read(0, 512)
    if head.startswith(MARK) and struct.unpack_from(">I", head, 60)[0] not in (FIXED, DYNAMIC):
        raise refused(DIFFERENCING)


def _vhdx(read: Read) -> None:
    if vhdx_has_parent(read):
        raise refused(DIFFERENCING)
