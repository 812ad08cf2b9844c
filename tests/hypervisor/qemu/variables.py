"""Firmware variables as tests read and write them. EDK II, MdeModulePkg/Include/Guid/VariableFormat.h"""

from __future__ import annotations

import struct
import subprocess
import tempfile
from pathlib import Path
from uuid import UUID

from velocity.hypervisor.qemu import nvram


def raw(file: Path) -> bytes:
    """What the guest sees of a qcow2 file."""
    with tempfile.TemporaryDirectory() as scratch:
        found = Path(scratch) / "raw"
        subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", file, found], check=True)
        return found.read_bytes()


def store(volume: bytes) -> int:
    """Where the store of variables begins."""
    return int(struct.unpack_from("<H", volume, 48)[0])


def variable(guid: UUID, name: str, data: bytes, state: int = nvram.ADDED) -> bytes:
    """With its head, up to where the next one begins."""
    text = f"{name}\0".encode("utf-16-le")
    head = nvram.HEAD.pack(nvram.BEGINS, state, 7, 0, 0, len(text), len(data), guid.bytes_le)
    return (head + text + data).ljust((len(head + text + data) + 3) & ~3, b"\xff")


def names(file: Path) -> set[str]:
    """Of the variables that there are in a qcow2 file."""
    volume = raw(file)
    at, found = store(volume) + nvram.STORE_HEAD, set()
    while volume[at : at + 2] == struct.pack("<H", nvram.BEGINS):
        _, state, _, _, _, name, data, _ = nvram.HEAD.unpack_from(volume, at)
        begin = at + nvram.HEAD.size
        if state == nvram.ADDED:
            found.add(volume[begin : begin + name].decode("utf-16-le").rstrip("\0"))
        at = (begin + name + data + 3) & ~3
    return found
