"""Uploads of every kind that docs/images.md names. All that are imported hold the same disk."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import struct
import subprocess
import tarfile
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.api.images import qemu_img

SIZE = 2 << 20
OTHER, MANY = "fWx0 metadata", 7


def gpt(data: bytearray, sectors: int | None = None) -> bytes:
    """A GPT with an EFI system partition at 1 MiB, on the disk of these bytes."""
    last = (sectors or len(data) // 512) - 1
    kind = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b").bytes_le
    entries = struct.pack("<16s16sQQQ72s", kind, bytes(range(16)), 2048, last - 34, 0, b"").ljust(128 * 128, b"\0")

    def head(mine: int, other: int, table: int) -> bytes:
        fields = (b"EFI PART", 0x10000, 92, 0, 0, mine, other, 34, last - 34, bytes(16), table, 128, 128)
        made = bytearray(struct.pack("<8sIIIIQQQQ16sQIII", *fields, zlib.crc32(entries)))
        struct.pack_into("<I", made, 16, zlib.crc32(made))
        return bytes(made)

    data[446:510] = struct.pack("<B3xB3xII", 0, 0xEE, 1, last).ljust(64, b"\0")
    data[510:512] = b"\x55\xaa"
    data[512:604], data[1024 : 1024 + len(entries)] = head(1, last, 2), entries
    if (last + 1) * 512 <= len(data):
        data[last * 512 : last * 512 + 92] = head(last, 1, last - 32)
        data[(last - 32) * 512 : last * 512] = entries
    return bytes(data)


def the_disk() -> bytes:
    """Begins with MARK, ends with TAIL, has a GPT, and holes and noise in between."""
    data = bytearray(SIZE)
    data[:4] = b"MARK"
    data[300_000:400_000] = random.Random(5).randbytes(100_000)
    made = bytearray(gpt(data))
    made[SIZE - 50_000 : SIZE - 49_996] = b"TAIL"
    return bytes(made)


class Uploads:
    """`disk` is what is in all of them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.disk = the_disk()
        self.raw = directory / "disk.raw"
        self.raw.write_bytes(self.disk)
        self._made: dict[tuple[str, str], bytes] = {}

    def image(self, kind: str, options: str = "", *words: str) -> bytes:
        if (kind, options) not in self._made:
            made = self.directory / "made"
            given = ["-o", options] if options else []
            qemu_img("convert", *words, "-f", "raw", "-O", kind, *given, self.raw, made)
            self._made[kind, options] = made.read_bytes()
            made.unlink()
        return self._made[kind, options]

    def empty(self, kind: str, *options: str, size: str = "1M") -> bytes:
        made = self.directory / "empty"
        qemu_img("create", "-f", kind, *options, made, size)
        data = made.read_bytes()
        made.unlink()
        return data

    def piped(self, data: bytes, *words: str) -> bytes:
        return subprocess.run(words, input=data, capture_output=True, check=True).stdout

    def sparse_tar(self) -> bytes:
        with self.raw.open("r+b") as file:  # with holes
            file.truncate(0)
            for at in range(0, SIZE, 4096):
                if self.disk[at : at + 4096].strip(b"\0"):
                    file.seek(at)
                    file.write(self.disk[at : at + 4096])
            file.truncate(SIZE)
        return self.piped(b"", "tar", "-C", str(self.directory), "--format=oldgnu", "-Scf", "-", "disk.raw")

    def streams(self) -> bytes:
        half = SIZE // 2
        return lzma.compress(self.disk[:half]) + bytes(1 << 20) + lzma.compress(self.disk[half:]) + bytes(8)

    def frames(self) -> bytes:
        """As pzstd makes them: each frame after one that is to be skipped."""
        half, made = SIZE // 2, b""
        for piece in (self.disk[:half], self.disk[half:]):
            frame = self.piped(piece, "zstd", "-qc")
            made += struct.pack("<III", 0x184D2A50, 4, len(frame)) + frame
        return made


def tar(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, data in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    return made.getvalue()


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def crc32c(data: bytes | bytearray) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def with_log(image: bytes) -> bytes:
    """A VHDX whose log has one entry, which writes zeros over zeros, as after a host lost its power. [MS-VHDX] 2.3"""
    data, guid = bytearray(image), bytes(range(1, 17))
    log = 0
    for head in (0x10000, 0x20000):
        log = struct.unpack_from("<Q", data, head + 72)[0]
        data[head + 48 : head + 64], data[head + 4 : head + 8] = guid, bytes(4)
        struct.pack_into("<I", data, head + 4, crc32c(data[head : head + 4096]))
    entry = bytearray(4096)
    struct.pack_into("<4sIIIQII16sQQ", entry, 0, b"loge", 0, 4096, 0, 1, 1, 0, guid, len(data), len(data))
    struct.pack_into("<4sIQQQ", entry, 64, b"zero", 0, 4096, 0x3F000, 1)
    struct.pack_into("<I", entry, 4, crc32c(entry))
    data[log : log + 4096] = entry
    return bytes(data)


def changed(data: bytes, place: int, by: bytes) -> bytes:
    return data[:place] + by + data[place + len(by) :]


def with_footer(image: bytes) -> bytes:
    """A streamOptimized VMDK as VMware writes it: what the header says of its tables stands at the end."""
    head = changed(image[:512], 56, struct.pack("<Q", (1 << 64) - 1))
    marker = struct.pack("<QII", 1, 0, 3).ljust(512, b"\0")
    return head + image[512:] + bytes(-len(image) % 512) + marker + image[:512] + bytes(512)


OVF = b'<?xml version="1.0"?><Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1"><References/></Envelope>'
PARTS = b'# Disk DescriptorFile\nversion=1\ncreateType="twoGbMaxExtentSparse"\nRW 128 SPARSE "disk-s001.vmdk"\n'
SEVEN, RAR, LZ4, LZO = b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07\1", b"\x04\x22\x4d\x18", b"\x89LZO\0\r\n\x1a\n"
UNKNOWN_MAGICS = {
    "unpack it first with": (SEVEN, RAR, LZ4, LZO, b"LZIP\1"),
    "convert it first with": (b"QED\0", b"WithoutFreeSpace", b"\x3a\xff\x26\xed"),
    "export it first with": (b"EVF\x09\x0d\x0a\xff\0",),
    "which holds files and no disk": (b"MSWIM\0\0\0",),
}
Case = tuple[str, str, Callable[[], bytes]]


def imported(u: Uploads) -> Iterator[Case]:
    """The row of the table, a name, and what makes it."""
    fat = changed(bytes(SIZE), 0, b"\xeb\x3c\x90mkfs.fat" + struct.pack("<HBHBHHBH", 512, 4, 1, 2, 512, 4096, 0xF8, 3))
    yield "raw, with a partition table (GPT or MBR)", "gpt", lambda: u.disk
    yield "raw, with a partition table (GPT or MBR)", "mbr", lambda: changed(u.disk, 512, bytes(92))
    named = "raw, a file system without a partition table (FAT, ISO 9660, ext4 and others)"
    yield named, "fat", lambda: changed(fat, 510, b"\x55\xaa")
    yield named, "ext4", lambda: changed(bytes(SIZE), 0x438, b"\x53\xef")
    yield "raw, other bytes in whole sectors", "other", lambda: u.disk[300_032:301_056]
    yield "qcow2", "qcow2", lambda: u.image("qcow2")
    yield "qcow2", "compressed", lambda: u.image("qcow2", "compression_type=zstd", "-c")
    yield "qcow2", "old", lambda: u.image("qcow2", "compat=0.10,cluster_size=4096")
    yield "VMDK in one file (monolithicSparse)", "sparse", lambda: u.image("vmdk")
    yield "VMDK for transport (streamOptimized)", "stream", lambda: u.image("vmdk", "subformat=streamOptimized")
    vmware = with_footer(u.image("vmdk", "subformat=streamOptimized"))
    yield "VMDK for transport (streamOptimized)", "with a footer", lambda: vmware
    yield "VDI", "dynamic", lambda: u.image("vdi")
    yield "VDI", "static", lambda: u.image("vdi", "static=on")
    yield "VHDX", "vhdx", lambda: u.image("vhdx", "block_size=1M")
    yield "VHD, dynamic", "dynamic", lambda: u.image("vpc", "subformat=dynamic,force_size=on")
    yield "VHD, fixed", "fixed", lambda: u.image("vpc", "subformat=fixed,force_size=on")
    named = "gzip, also of several members, with padding or other bytes behind its end"
    yield named, "gzip", lambda: gzip.compress(u.disk)
    yield named, "members", lambda: gzip.compress(u.disk[:MANY]) + gzip.compress(u.disk[MANY:]) + bytes(1000)
    yield named, "signed", lambda: gzip.compress(u.disk) + OTHER.encode()
    yield "bzip2, also of several streams", "bzip2", lambda: bz2.compress(u.disk)
    yield "bzip2, also of several streams", "streams", lambda: bz2.compress(u.disk[:99]) + bz2.compress(u.disk[99:])
    named = "xz, also of several streams and with padding between them"
    yield named, "xz", lambda: lzma.compress(u.disk)
    yield named, "streams", u.streams
    named = "zstd, also of several frames and with frames that are skipped (pzstd)"
    yield named, "zstd", lambda: u.piped(u.disk, "zstd", "-qc")
    yield named, "frames", u.frames
    named = "tar, also with holes (`tar -S`)"
    yield named, "tar", lambda: tar({"a/../../README": b"read me", "disk.raw": u.disk})
    yield named, "long name", lambda: tar({"d" * 200 + ".img": u.disk})
    yield named, "holes", u.sparse_tar
    yield "zip", "deflate", lambda: zipped({"__MACOSX/._disk.img": b"x", "disk.img": u.disk})
    yield "zip", "stored", lambda: zipped({"notes.txt": b"x", "disk.img": u.disk}, zipfile.ZIP_STORED)
    yield "zip", "bzip2", lambda: zipped({"disk": u.disk}, zipfile.ZIP_BZIP2)
    stream = u.image("vmdk", "subformat=streamOptimized")
    yield "OVA with one disk", "ova", lambda: tar({"a.ovf": OVF, "a.mf": b"SHA", "d1.vmdk": stream})
    yield "OVA with one disk", "packed", lambda: tar({"a.ovf": OVF, "d1.vmdk": gzip.compress(u.image("vmdk"))})
    named = "one in the other, up to five times, such as a qcow2 in a tar.gz"
    yield named, "tar.gz", lambda: gzip.compress(tar({"disk.raw": u.disk}))
    yield named, "qcow2.xz", lambda: lzma.compress(u.image("qcow2"))
    yield named, "vhd", lambda: zipped({"a.vhd": u.image("vpc", "subformat=fixed,force_size=on")})
    ova = tar({"c.qcow2": u.image("qcow2")})
    yield named, "five", lambda: zipped({"a.tar.xz": lzma.compress(tar({"b.ova.gz": gzip.compress(ova)}))})


def refused(u: Uploads) -> Iterator[Case]:
    """The reason of the table, a name, and what makes it."""
    yield "it is blank", "blank", lambda: bytes(4096)
    yield "not a whole number of sectors", "text", lambda: b"<html>no image"
    yield "not a whole number of sectors", "in a zip", lambda: zipped({"notes.txt": b"no image"})
    for kind, options, missing in (
        ("qcow2", "", 100), ("qcow2", "", 70_000), ("vmdk", "", 100), ("vmdk", "subformat=streamOptimized", 100_000),
        ("vdi", "", 100), ("vhdx", "block_size=1M", 1 << 20), ("vpc", "subformat=dynamic", 512), ("vpc", "", 100),
    ):  # fmt: skip
        yield "it is cut short", f"{kind} {options} {missing}", lambda k=kind, o=options, m=missing: u.image(k, o)[:-m]  # type: ignore[misc]
    vmware = with_footer(u.image("vmdk", "subformat=streamOptimized"))
    yield "it is cut short", "vmdk with a footer", lambda: vmware[:-512]
    yield "it is cut short", "gpt", lambda: u.disk[:-512]
    yield "it is cut short", "gpt.gz", lambda: gzip.compress(u.disk[: SIZE // 2])
    yield "it is cut short", "qcow2.gz", lambda: gzip.compress(u.image("qcow2")[:-70_000])
    yield "is truncated", "gzip", lambda: gzip.compress(u.disk)[:-4]
    yield "is truncated", "bzip2", lambda: bz2.compress(u.disk)[:-4]
    yield "is truncated", "xz", lambda: lzma.compress(u.disk)[:-4]
    yield "is truncated", "zstd", lambda: u.piped(u.disk, "zstd", "-qc")[:-4]
    yield "file is cut short", "tar", lambda: tar({"disk.raw": u.disk})[:-20_000]
    yield "file is cut short", "end of tar", lambda: tar({"disk.raw": u.disk})[: SIZE + 512]
    yield "file is cut short", "zip", lambda: zipped({"disk.raw": u.disk})[:-10]
    yield "cannot be unpacked", "gzip", lambda: changed(gzip.compress(u.disk), 50_000, b"damaged")
    yield "cannot be unpacked", "other bytes behind xz", lambda: lzma.compress(u.disk) + OTHER.encode()
    yield "it has a backing file", "backing", lambda: u.empty("qcow2", "-u", "-b", "/etc/hostname", "-F", "raw")
    yield "its data is in another file", "data", lambda: changed(u.empty("qcow2"), 72, struct.pack(">Q", 4))
    yield "it is encrypted", "encrypted", lambda: changed(u.empty("qcow2"), 32, struct.pack(">I", 2))
    yield "it was not closed cleanly", "dirty", lambda: changed(u.empty("qcow2"), 72, struct.pack(">Q", 1))
    yield "qcow2 version 1 is not supported", "qcow", lambda: u.empty("qcow")
    yield "it only describes a disk whose data is in other files", "split", lambda: PARTS
    part = struct.pack("<4sIIQQQQ", b"KDMV", 1, 3, 4096, 128, 0, 0).ljust(65536, b"\0")
    yield "it is one part of a", "part", lambda: part
    yield "it is one part of a", "ESX", lambda: b"COWD".ljust(65536, b"\0")
    vdi = changed(u.empty("vdi"), 0x4C, struct.pack("<I", 4))
    yield "it is a snapshot and needs its parent", "vdi", lambda: vdi
    child = u.image("vmdk").replace(b"parentCID=ffffffff", b"parentCID=12345678")
    yield "it is a snapshot and needs its parent", "vmdk", lambda: child
    yield "it is a differencing disk and needs its parent", "vhd", lambda: changed(u.image("vpc"), 60, b"\0\0\0\4")
    parameters = u.empty("vhdx").index(bytes.fromhex("3767a1ca36fa434db3b633f0aa44e76b"))
    at = (parameters & ~0xFFFF) + struct.unpack_from("<I", u.empty("vhdx"), parameters + 16)[0]
    yield "it is a differencing disk and needs its parent", "vhdx", lambda: changed(u.empty("vhdx"), at + 4, b"\2")
    yield "its log is to be written back first", "vhdx", lambda: with_log(u.image("vhdx", "block_size=1M"))
    yield "disks in it", "ova", lambda: tar({"a.ovf": OVF, "d1.vmdk": b"1", "d2.vmdk": b"2"})
    yield "disks in it", "zip in xz", lambda: lzma.compress(zipped({"a.img": b"1", "b/b.qcow2": b"2"}))
    yield "is a disk image is not known", "tar", lambda: tar({"a.txt": b"1", "b.txt": b"2"})
    locked = zipped({"disk.raw": u.disk}, zipfile.ZIP_STORED)
    yield "the zip file is encrypted", "zip", lambda: changed(locked, locked.rindex(b"PK\1\2") + 8, b"\1\0")
    entry = locked.rindex(b"PK\1\2") + 10
    yield "in a way that is not known", "deflate64", lambda: changed(locked, entry, b"\x09\0")
    window = b"\x28\xb5\x2f\xfd\0\xa8\x21\0\0data"
    yield "takes more than 1 GiB of memory", "zstd --long=31", lambda: window
    yield "it only describes a machine", "ovf", lambda: OVF
    three = lzma.compress(tar({"a.xz": gzip.compress(u.disk)}))
    yield "it is packed more than 5 times", "six", lambda: gzip.compress(lzma.compress(zipped({"a.xz": three})))
    for word, magics in UNKNOWN_MAGICS.items():
        for magic in magics:
            yield word, repr(magic), lambda m=magic: m.ljust(4096, b"x")  # type: ignore[misc]
    yield "convert it first with", "dmg", lambda: bytes(4096) + b"koly".ljust(512, b"\0")
