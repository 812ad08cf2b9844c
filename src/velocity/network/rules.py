"""Names, places and addresses of NICs, without side effects."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from ipaddress import ip_network
from itertools import chain
from uuid import UUID

LINK_NAME_LENGTH = 15
"""The longest name of a link: IFNAMSIZ less one."""
SLOTS = 8
"""The most NICs of a machine."""
ATTEMPTS = 16
"""How many MAC addresses are tried for a NIC."""


def made_macs(machine: UUID, nic: int) -> Iterator[str]:
    """MAC addresses for a machine's NIC with that id, in order of preference: the first may be taken.

    52:54:00 is the prefix that QEMU guests customarily have; its second-lowest bit says "locally administered".
    """
    for attempt in range(ATTEMPTS):
        salt = (nic - 1).to_bytes(4, "big") + (bytes((attempt,)) if attempt else b"")
        tail = hashlib.sha256(machine.bytes + salt).digest()[:3]
        yield f"52:54:00:{tail.hex(':')}"


def slot(nic: int) -> int:
    """The PCI function of the NIC with that id, from 0 on: no two of one machine share one, see `next_nic`."""
    return (nic - 1) % SLOTS


def next_nic(last: int, present: set[int]) -> int:
    """The id of a machine's next NIC: above `last`, hence never used before, and of a free slot."""
    taken = {slot(one) for one in present}
    return next(nic for nic in range(last + 1, last + 1 + SLOTS) if slot(nic) not in taken)


def link_name(prefix: str, uid: int, nic: int) -> str:
    """The name of the link of the NIC with that id of the machine that has this uid at present."""
    name = f"{prefix}{uid}n{slot(nic)}"
    assert len(name) <= LINK_NAME_LENGTH
    return name


def older_nic(link: str) -> int:
    """The id of the NIC of a link from an earlier version, which named it by its place in the list."""
    return int(link.rpartition("n")[2]) + 1


FIRST_PLACE = 2
"""The first address of a network is the network's own, the second one the host's."""


def next_place(last: int, networks: Sequence[str], taken: Callable[[int], bool]) -> int:
    """The place in NAT's networks of a new NIC: after the last one given, wrapping around at the end.

    So a released address is reused as late as possible. If all are taken, the place returned fits into larger networks
    only.
    """
    end = places(networks)
    around = chain(range(max(last + 1, FIRST_PLACE), end), range(FIRST_PLACE, min(last + 1, end)))
    return next((one for one in around if not taken(one)), max(last + 1, FIRST_PLACE))


def places(networks: Sequence[str]) -> int:
    """The number of places up to the last address of the IPv4 network; without networks, no limit."""
    return min([_network(one).num_addresses - 1 for one in networks], default=2**16)


def addresses(networks: Sequence[str], place: int) -> tuple[str, ...]:
    """The addresses of the NIC at that place; empty if it does not fit."""
    if not FIRST_PLACE <= place < places(networks):
        return ()
    return tuple(str(_network(one)[place]) for one in networks)


_network = lru_cache(ip_network)
"""Parsing a network takes as long as finding a place in it, and a host has few."""
