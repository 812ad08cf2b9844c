"""Finds the disk in an archive: where it is, and how it is compressed. No path in the archive is trusted.

Only headers are read here; confined programs do the unpacking. POSIX 1003.1 "pax"; PKWARE APPNOTE.TXT 6.3.10.
"""

from __future__ import annotations

import io
import re
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from typing import IO, cast

from msgspec import Struct

from velocity.storage.formats import refused, shown

MOST_FILES = 10_000
AT_ONCE, ALL = 1 << 20, 8 << 20
"""Bytes of headers that are read, at once and in total."""
EXTENDED = 1 << 20
"""The limit for extended headers in a tar file: parsing one takes eight times as long as parsing others."""
LONG_NUMBER = re.compile(rb"[0-9]{64}")
"""A number in an extended header of a tar file that `tarfile` may parse in quadratic time. CVE-2024-6232"""
METHODS = {0: "stored", 8: "deflate", 12: "bzip2", 93: "zstd", 95: "xz"}
PACKERS = r"(\.(xz|gz|zst|bz2))?$"
WANTED = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\.(qcow2?|vmdk|vdi|vhdx?|raw|img|disk|hdd){PACKERS}",
        rf"\.iso{PACKERS}",
        rf"\.(ova|tar|tgz|txz|tbz2?|tzst|zip){PACKERS}",
        r"\.(xz|gz|zst|bz2)$",
    )
)
"""Names of files that contain disks, the most certain ones first."""
LOCAL = b"PK\x03\x04"
BESIDE = re.compile(r"(^|/)(__MACOSX/|\._|\.)")

Read = Callable[[int, int], bytes]


class Member(Struct, frozen=True):
    """A file in an archive. `kind` unpacks the bytes from `offset` on; `size` and `crc` are those of the result."""

    name: str
    kind: str | None
    offset: int
    length: int
    size: int | None = None
    crc: int = 0


def disk_member(kind: str, read: Read, size: int) -> Member:
    """The member to import. Raises `Refused(NOT_AN_IMAGE)`, also if there are several."""
    headers = cast("IO[bytes]", _Headers(read, size, kind))
    try:
        member = _chosen(list((_tar if kind == "tar" else _zip)(headers, size)))
    except zipfile.BadZipFile:
        raise _cut(kind) from None
    except (tarfile.TarError, ValueError, EOFError, OverflowError, IndexError, RuntimeError, struct.error):
        raise refused(f"the {kind} file is damaged: copy or download it again") from None
    if member.kind is None:
        raise refused(
            f"{shown([member.name])} is packed in the {kind} file in a way that is not known: unpack it first"
        )
    return member


def _chosen(members: list[Member]) -> Member:
    files = [one for one in members if not BESIDE.search(one.name)]
    for wanted in WANTED:
        found = [one for one in files if wanted.search(one.name)]
        if len(found) == 1:
            return found[0]
        if found:
            raise refused(
                f"there are {len(found)} disks in it ({shown(one.name for one in found)}): unpack it, and import each "
                "by itself"
            )
    if len(files) == 1:
        return files[0]
    if not files:
        raise refused("there is no file in it")
    raise refused(
        f"which of its {len(files)} files ({shown(one.name for one in files)}) is a disk image is not known: unpack "
        "it, and import that one"
    )


def _tar(headers: IO[bytes], size: int) -> Iterator[Member]:
    """The members, each with its bytes from header to end: a tar file with this member only."""
    with tarfile.open(fileobj=headers, mode="r:") as archive:
        for number, one in enumerate(archive):
            if number >= MOST_FILES:
                raise _too_many()
            if one.isreg():
                end = archive.offset
                if end > size:
                    raise _cut("tar")
                yield Member(one.name, "tar", one.offset, end - one.offset)
        headers.seek(archive.offset)
        if headers.read(512) != bytes(512):
            raise _cut("tar")


def _zip(headers: IO[bytes], size: int) -> Iterator[Member]:
    with zipfile.ZipFile(headers) as archive:
        for number, one in enumerate(archive.infolist()):
            if number >= MOST_FILES:
                raise _too_many()
            if one.is_dir():
                continue
            if one.flag_bits & 1:
                raise refused("the zip file is encrypted: unpack it first")
            headers.seek(one.header_offset)
            head = headers.read(30)
            name, more = struct.unpack_from("<HH", head, 26)
            offset = one.header_offset + 30 + name + more
            if head[:4] != LOCAL:
                raise ValueError
            if offset + one.compress_size > size:
                raise _cut("zip")
            kind = METHODS.get(one.compress_type)
            yield Member(one.filename, kind, offset, one.compress_size, one.file_size, one.CRC)


def _too_many() -> Exception:
    return refused(f"there are more than {MOST_FILES} files in it: unpack it, and import the disk image")


def _cut(kind: str) -> Exception:
    return refused(f"the {kind} file is cut short: copy or download it again")


class _Headers:
    """The part of an archive that is read, as a file."""

    def __init__(self, read: Read, size: int, kind: str) -> None:
        self._read = read
        self._size = size
        self._kind = kind
        self._at = 0
        self._left = ALL
        self._extended = EXTENDED

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if self._at < 0:
            raise io.UnsupportedOperation("before the beginning")
        return self._at

    def read(self, length: int = -1) -> bytes:
        length = self._size - self._at if length < 0 else length
        length = max(0, min(length, self._size - self._at))
        self._left -= length
        if self._kind == "tar" and length > tarfile.BLOCKSIZE:
            self._extended -= length
        if length > AT_ONCE or min(self._left, self._extended) < 0:
            raise refused(f"the {self._kind} file has too large headers: unpack it, and import the disk image")
        data = self._read(self._at, length) if length else b""
        self._at += len(data)
        if self._kind == "tar" and length > tarfile.BLOCKSIZE and LONG_NUMBER.search(data):
            raise ValueError
        return data
