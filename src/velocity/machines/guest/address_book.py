"""Addresses of NICs that sources other than NAT report: a bounded number, and only plausible ones."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from velocity.contract.vm_settings import AddressSource, KnownAddress

MOST = 16
"""Addresses of one NIC from one source."""
SURE = (AddressSource.NEIGHBOUR, AddressSource.AGENT)
"""What the host has heard itself counts more than what a guest says."""


def told(text: str) -> str | None:
    """The address in its usual form; None if no other machine could reach a NIC by it."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    scoped = address.version == 6 and address.scope_id is not None
    nobodys = address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    return None if scoped or nobodys else str(address)


class AddressBook:
    """The addresses known for present runs, in memory: they are asked for again after a restart."""

    def __init__(self) -> None:
        self._known: dict[UUID, dict[AddressSource, dict[int, list[str]]]] = {}

    def learn(self, machine: UUID, source: AddressSource, found: Mapping[int, Iterable[str]]) -> bool:
        """Replace what a source reports about a VM, by the ids of its NICs; returns whether that has changed."""
        usable = {
            nic: sorted({one for text in texts if (one := told(text))}, key=_order) for nic, texts in found.items()
        }
        fresh = {nic: some[:MOST] for nic, some in usable.items() if some}
        sources = self._known.setdefault(machine, {})
        changed = sources.get(source, {}) != fresh
        sources[source] = fresh
        return changed

    def forget(self, machine: UUID) -> None:
        """Forget a VM whose run has ended."""
        self._known.pop(machine, None)

    def of(self, machine: UUID, nic: int) -> Sequence[KnownAddress]:
        """The addresses of a NIC, the most trustworthy ones first."""
        sources = self._known.get(machine, {})
        return [KnownAddress(one, source) for source in SURE for one in sources.get(source, {}).get(nic, ())]


def _order(address: str) -> tuple[int, ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """A sort key: IPv4 first, and otherwise a fixed order, so that a mere reordering is no change."""
    parsed = ipaddress.ip_address(address)
    return parsed.version, parsed
