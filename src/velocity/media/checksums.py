"""The checksums that a distribution publishes beside its images, as files of text: pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

LARGEST = 1 << 20
"""Bytes of such a file that are read."""
ALGORITHMS = {64: "sha256", 128: "sha512"}
"""By the digits of a checksum."""


@dataclass(frozen=True)
class Checksum:
    """What the bytes of a file have to give. `where` it stands, for people."""

    algorithm: str
    digits: str
    where: str


def pinned(sha256: str) -> Checksum:
    return Checksum("sha256", sha256.lower(), "`sha256`")


def find(text: str, file: str, where: str) -> Checksum | None:
    """That of the file: lines of `sha512sum`, with or without names, or of BSD, `SHA256 (FILE) = ...`."""
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
