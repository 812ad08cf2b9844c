"""Names and addresses of machines on a network: pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from ipaddress import ip_network
from itertools import chain
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
        yield f"52:54:00:{tail.hex(':')}"


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


FIRST_PLACE = 2
"""In NAT's networks: the first address is the network's own, the second one the host's."""


def next_place(last: int, networks: Sequence[str], taken: Callable[[int], bool]) -> int:
    """The place in NAT's networks of a NIC that gets one: behind the last one given, and from the start at the end.

    So an address comes back late. Where all are taken it is one that fits into larger networks only.
    """
    end = places(networks)
    around = chain(range(max(last + 1, FIRST_PLACE), end), range(FIRST_PLACE, min(last + 1, end)))
    return next((one for one in around if not taken(one)), max(last + 1, FIRST_PLACE))


def places(networks: Sequence[str]) -> int:
    """The first place that is not in them, as IPv4's last address is for all; where there are none, as many as ever."""
    return min([_network(one).num_addresses - 1 for one in networks], default=2**16)


def addresses(networks: Sequence[str], place: int) -> tuple[str, ...]:
    """Those of the NIC at that place; none where it does not fit."""
    if not FIRST_PLACE <= place < places(networks):
        return ()
    return tuple(str(_network(one)[place]) for one in networks)


_network = lru_cache(ip_network)
"""A host has few, and to read one takes as long as to find a place in it."""
