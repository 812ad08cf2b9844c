"""Parses the checksum files that distributions publish beside their images. Pure."""

from __future__ import annotations

import re

from msgspec import Struct

LARGEST = 1 << 20
"""Bytes of such a file that are read."""
ALGORITHMS = {64: "sha256", 128: "sha512"}
"""By the number of digits."""


class Checksum(Struct, frozen=True):
    """The expected checksum of a file. `where` it was found, in words."""

    algorithm: str
    digits: str
    where: str


def pinned(sha256: str) -> Checksum:
    return Checksum("sha256", sha256.lower(), "`sha256`")


def find(text: str, file: str, where: str) -> Checksum | None:
    """The checksum of the file: from lines of `sha512sum`, with or without names, or BSD's `SHA256 (FILE) = ...`."""
    for line in text.splitlines():
        said = _GNU.fullmatch(line.strip()) or _BSD.fullmatch(line.strip())
        if said is None or said["name"] not in (file, None):
            continue
        digits = said["digits"].lower()
        if len(digits) in ALGORITHMS:
            return Checksum(ALGORITHMS[len(digits)], digits, where)
    return None


_GNU = re.compile(r"(?P<digits>[0-9a-fA-F]{64,128})(?:[ \t]+\*?(?:\./)?(?P<name>\S+))?")
_BSD = re.compile(r"SHA(?:256|512) \((?P<name>[^)]+)\) = (?P<digits>[0-9a-fA-F]{64,128})")
