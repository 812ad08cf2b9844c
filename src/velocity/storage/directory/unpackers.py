"""Programs that unpack from standard input to standard output, and the meaning of their errors.

gzip(1), bzip2(1), xz(1), zstd(1), tar(1); RFC 1952 (gzip): a deflated member of a zip file is given to gzip as such.
"""

from __future__ import annotations

import re
import shlex
import struct

from velocity.storage.archives import Member
from velocity.unprivileged import MEMORY

UNPACK = {
    "xz": ["xz", "-dcq", f"--memlimit-decompress={MEMORY}"],
    "zstd": ["zstd", "-dcq", f"--memory={MEMORY >> 20}MB"],
    "gzip": ["gzip", "-dc"],
    "bzip2": ["bzip2", "-dc"],
    "deflate": ["gzip", "-dc"],
    "tar": ["tar", "-xOf", "-"],
    "stored": ["cat"],
}
GZIP_HEAD = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
GZIP_WARNING = 2
"""gzip's exit status if other bytes follow, such as a firmware's signature, which are ignored."""
CUT = "unexpected end|premature end|ends unexpectedly|unexpected EOF"
LARGE = "window size larger|memory usage limit|too much memory|memory limit"


def command(kind: str, member: Member | None) -> list[str]:
    """The command that unpacks a file, or an archive's member."""
    if member is None:
        return UNPACK[kind]
    assert member.kind is not None, "it was chosen"
    feed = f"dd bs=64K iflag=skip_bytes,count_bytes,fullblock status=none skip={member.offset} count={member.length}"
    if member.kind == "deflate":
        tail = struct.pack("<II", member.crc, (member.size or 0) & 0xFFFFFFFF)
        feed = f"printf '{_escaped(GZIP_HEAD)}'; {feed}; printf '{_escaped(tail)}'"
    return ["sh", "-c", f"{{ {feed}; }} | {shlex.join(UNPACK[member.kind])}"]


def program(kind: str, member: Member | None) -> str:
    return UNPACK[(member and member.kind) or kind][0]


def failure(kind: str, member: Member | None, status: int, words: str) -> str | None:
    """What is wrong with a file of this kind, judging by its program's failure; None: nothing."""
    if status == 0 or (status == GZIP_WARNING and program(kind, member) == "gzip" and "garbage ignored" in words):
        return None
    if re.search(CUT, words, re.IGNORECASE):
        return f"the {kind} file is truncated: copy or download it again"
    if re.search(LARGE, words, re.IGNORECASE):
        return f"to unpack the {kind} file takes more than {MEMORY >> 30} GiB of memory: pack it with a smaller window"
    last = words.strip().splitlines()[-1] if words.strip() else "it is damaged"
    why = last.rpartition(" : " if kind == "zstd" else ": ")[2].strip()
    return f"the {kind} file cannot be unpacked ({why}): check it with `{CHECK[kind]} FILE`, copy or download it again"


CHECK = {
    "xz": "xz -t", "zstd": "zstd -t", "gzip": "gzip -t", "bzip2": "bzip2 -t", "tar": "tar -tf", "zip": "unzip -t",
}  # fmt: skip


def _escaped(data: bytes) -> str:
    return "".join(f"\\{one:03o}" for one in data)
