"""The addresses of NICs that sources other than NAT report: bounded, and only possible ones."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from velocity.contract.vm_settings import AddressSource, KnownAddress

MOST = 16
"""Of one NIC from one source."""
SURE = (AddressSource.NEIGHBOUR, AddressSource.AGENT)
"""What the host has heard itself goes before what a guest says."""


def told(text: str) -> str | None:
    """As it is written everywhere; None: no other machine could reach a NIC by it."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    scoped = address.version == 6 and address.scope_id is not None
    nobodys = address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    return None if scoped or nobodys else str(address)


class AddressBook:
    """What is known of the present runs, in memory: it is asked for again."""

    def __init__(self) -> None:
        self._known: dict[UUID, dict[AddressSource, dict[int, list[str]]]] = {}

    def learn(self, machine: UUID, source: AddressSource, found: Mapping[int, Iterable[str]]) -> bool:
        """All that a source tells of a VM now, by the ids of its NICs; whether that is something else than before."""
        usable = {
            nic: sorted({one for text in texts if (one := told(text))}, key=_order) for nic, texts in found.items()
        }
        fresh = {nic: some[:MOST] for nic, some in usable.items() if some}
        sources = self._known.setdefault(machine, {})
        changed = sources.get(source, {}) != fresh
        sources[source] = fresh
        return changed

    def forget(self, machine: UUID) -> None:
        """Its run has ended."""
        self._known.pop(machine, None)

    def of(self, machine: UUID, nic: int) -> Sequence[KnownAddress]:
        """Of a NIC by its id: the surest first."""
        sources = self._known.get(machine, {})
        return [KnownAddress(one, source) for source in SURE for one in sources.get(source, {}).get(nic, ())]


def _order(address: str) -> tuple[int, ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """IPv4 first, and always in one order: who tells them in another has changed nothing."""
    parsed = ipaddress.ip_address(address)
    return parsed.version, parsed
