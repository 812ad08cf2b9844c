"""Names and addresses of machines on a network: pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from uuid import UUID

LINK_NAME_LENGTH = 15
"""What the kernel allows: IFNAMSIZ less one."""
SLOTS = 8
"""Most NICs of a machine."""
ATTEMPTS = 16
"""MAC addresses that a NIC could be given before there are none left for it."""


def made_macs(machine: UUID, nic: int) -> Iterator[str]:
    """The MAC addresses that may be made for a machine's NIC with that id, the first one first: others are taken.

    52:54:00 is the prefix that QEMU guests customarily have; its second-lowest bit says "locally administered".
    """
    for attempt in range(ATTEMPTS):
        salt = (nic - 1).to_bytes(4, "big") + (bytes((attempt,)) if attempt else b"")
        tail = hashlib.sha256(machine.bytes + salt).digest()[:3]
        yield ":".join(f"{byte:02x}" for byte in b"\x52\x54\x00" + tail)


def slot(nic: int) -> int:
    """Where the NIC with that id is plugged in, from 0 on: no two of one machine share a slot, see `next_nic`."""
    return (nic - 1) % SLOTS


def next_nic(last: int, present: set[int]) -> int:
    """The id of a machine's next NIC: never given before, as `last` is the highest, and of a slot that is free."""
    taken = {slot(one) for one in present}
    return next(nic for nic in range(last + 1, last + 1 + SLOTS) if slot(nic) not in taken)


def link_name(prefix: str, uid: int, nic: int) -> str:
    """The name of a host link for the NIC with that id of the machine that has this uid now."""
    name = f"{prefix}{uid}n{slot(nic)}"
    assert len(name) <= LINK_NAME_LENGTH
    return name


def older_nic(link: str) -> int:
    """The id of the NIC of a link that an earlier version made, which named it by its place in the list."""
    return int(link.rpartition("n")[2]) + 1
