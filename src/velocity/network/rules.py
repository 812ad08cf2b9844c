"""Names and addresses of machines on a network: pure."""

from __future__ import annotations

import hashlib
from uuid import UUID

LINK_NAME_LENGTH = 15
"""What the kernel allows: IFNAMSIZ less one."""


def mac(machine: UUID, index: int) -> str:
    """The address of a machine's n-th NIC: the same for ever, and unlike any other machine's.

    52:54:00 is the prefix that QEMU guests customarily have; its second-lowest bit says "locally administered".
    """
    tail = hashlib.sha256(machine.bytes + index.to_bytes(4, "big")).digest()[:3]
    return ":".join(f"{byte:02x}" for byte in b"\x52\x54\x00" + tail)


def link_name(prefix: str, uid: int, index: int) -> str:
    """The name of a host link for the n-th NIC of the machine that has this uid now."""
    name = f"{prefix}{uid}n{index}"
    assert len(name) <= LINK_NAME_LENGTH
    return name


def nic_place(link: str) -> int:
    """Which of its machine's NICs a link is, as `link_name` has it."""
    return int(link.rpartition("n")[2])
