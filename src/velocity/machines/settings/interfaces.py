"""The identity of NICs: each has an id and a MAC address of its own, wherever it is in the list."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol
from uuid import UUID

import msgspec
from msgspec import UNSET

from velocity.contract.machines import Interface, Nic, NicType
from velocity.contract.problems import Problem, Refused
from velocity.contract.vm_settings import AddressSource, KnownAddress, NatKind
from velocity.machines.rules import Spec
from velocity.network.rules import addresses, made_macs, next_nic, next_place

BRIDGE, NAT = NicType.BRIDGE.value, NicType.NAT.value
Fits = Callable[[Nic, Nic, Interface], bool]
"""Whether a requested NIC is this existing one."""


class Taken(Protocol):
    """What VMs have that must be unique."""

    last_place: int

    def has_mac(self, mac: str) -> bool: ...

    def has_place(self, place: int) -> bool: ...


def assigned(machine: UUID, spec: Spec, has: Spec | None, taken: Taken, networks: Sequence[str]) -> Spec:
    """The specification with the interfaces of its NICs: existing ones, found by id or content, and new ones.

    NAT NICs get places in the host's `networks`. Raises `Refused`.
    """
    if has is not None and spec.nics is has.nics:
        return spec
    before = found(spec.nics, has)
    said = [nic.mac.lower() if isinstance(nic.mac, str) else None for nic in spec.nics]
    ids = [before[place].id if place in before else 0 for place in range(len(spec.nics))]
    macs = [mac or (before[place].mac if place in before else "") for place, mac in enumerate(said)]
    last = has.last_nic if has else 0
    for place in range(len(spec.nics)):
        if not ids[place]:
            ids[place] = last = next_nic(last, {one for one in ids if one})
        macs[place] = macs[place] or _made(machine, ids[place], macs, taken.has_mac)
    interfaces = tuple(Interface(id=nic, mac=mac) for nic, mac in zip(ids, macs, strict=True))
    had = has.nat_places if has else {}
    nat = [nic for nic, sent in zip(ids, spec.nics, strict=True) if sent.type == NAT]
    places = _placed(nat, had, taken, networks)
    return msgspec.structs.replace(spec, interfaces=interfaces, last_nic=last, nat_places=places)


def _placed(nics: Sequence[int], had: Mapping[int, int], taken: Taken, networks: Sequence[str]) -> dict[int, int]:
    """The places of NAT NICs, by id: the former ones, or new ones that were not in use for long."""
    places = {nic: had[nic] for nic in nics if nic in had}
    last = taken.last_place
    for nic in nics:
        if nic not in places:
            last = next_place(last, networks, lambda one: one in places.values() or taken.has_place(one))
            places[nic] = last
    return places


def shown(
    spec: Spec, run: Spec | None, has_nat: bool, networks: Sequence[str], found: Callable[[int], Sequence[KnownAddress]]
) -> list[Interface]:
    """The interfaces as they are shown. `run` is its running specification; `has_nat`: it would be on NAT's bridge now.

    `found` gives other known addresses of a NIC, by id.
    """
    at = dict(spec.nat_places) if has_nat else {}
    if run is not None:
        at |= {one.id: run.nat_places.get(one.id, 0) for one in run.interfaces}
    nics = [_placed_nic(one, at, networks) if nic.type == NAT else one for nic, one in pairs(spec)]
    return [_with_addresses(one, found(one.id)) for one in nics]


def _with_addresses(one: Interface, found: Sequence[KnownAddress]) -> Interface:
    """Each address once: those of NAT first, with who has heard the guest use it."""
    heard = {each.address: each for each in reversed(found)}
    leases = [heard.pop(given, KnownAddress(given, AddressSource.LEASE)) for given in one.addresses or ()]
    known = [*leases, *reversed(heard.values())]
    return msgspec.structs.replace(one, known_addresses=known) if known else one


def _placed_nic(one: Interface, places: Mapping[int, int], networks: Sequence[str]) -> Interface:
    given = addresses(networks, places.get(one.id, 0))
    if not given:
        return msgspec.structs.replace(one, nat=NatKind.USER)
    return msgspec.structs.replace(one, nat=NatKind.BRIDGE, addresses=list(given))


def _made(machine: UUID, nic: int, own: Collection[str], taken: Callable[[str], bool]) -> str:
    for mac in made_macs(machine, nic):
        if mac not in own and not taken(mac):
            return mac
    raise Refused(Problem.MAC_TAKEN, "no free MAC address could be generated: choose one with `mac`")


def check_macs(spec: Spec) -> None:
    """Refuse two NICs with the same MAC address."""
    macs = [one.mac for one in spec.interfaces]
    for place, mac in enumerate(macs):
        if mac in macs[:place]:
            said = place if isinstance(spec.nics[place].mac, str) else macs.index(mac)
            raise Refused(
                Problem.MAC_TAKEN,
                f"two NICs have the MAC address {mac}: leave it out of one of them",
                field=f"nics[{said}].mac",
            )


def pairs(spec: Spec | None) -> list[tuple[Nic, Interface]]:
    """Each NIC as requested, with its interface."""
    return list(zip(spec.nics, spec.interfaces, strict=True)) if spec else []


def found(nics: Sequence[Nic], has: Spec | None) -> dict[int, Interface]:
    """Which existing NICs are in the list, by index. Raises `Refused` for unknown ids.

    A NIC without an id is found by its MAC address or, if it has none, by its content, in order. In a list of the same
    length, the NIC at the same place is tried first, and what is left counts as that NIC, changed. All others are new.
    """
    old = pairs(has)
    by_place = _by_id(nics, [one for _, one in old])
    if not old:
        return {}
    in_place = [(place, place) for place in range(len(nics))] if len(nics) == len(old) else []
    in_order = [(place, at) for place in range(len(nics)) for at in range(len(old))]
    for fits in _FITS:
        for place, at in [*in_place, *in_order]:
            if place not in by_place and at not in by_place.values() and fits(nics[place], *old[at]):
                by_place[place] = at
    for place, at in in_place:
        if place not in by_place and at not in by_place.values():
            by_place[place] = at
    return {place: old[at][1] for place, at in by_place.items()}


def _by_id(nics: Sequence[Nic], interfaces: Sequence[Interface]) -> dict[int, int]:
    ids = [one.id for one in interfaces]
    by_place: dict[int, int] = {}
    for place, nic in enumerate(nics):
        if not isinstance(nic.id, int):
            continue
        if nic.id not in ids:
            there = f"they are {', '.join(map(str, ids))}" if ids else "it has none"
            raise Refused(
                Problem.INTERFACE_NOT_FOUND,
                f"the VM has no NIC with the id {nic.id} ({there}): leave `id` out for a new NIC",
                field=f"nics[{place}].id",
            )
        at = ids.index(nic.id)
        if at in by_place.values():
            raise Refused(
                Problem.MALFORMED, f"nics[{place}].id: NIC {nic.id} is in the list twice", field=f"nics[{place}].id"
            )
        by_place[place] = at
    return by_place


def _said(nic: Nic) -> tuple[object, ...]:
    return nic.type, nic.host, nic.trusted is True


_FITS: tuple[Fits, ...] = (
    lambda nic, _, one: isinstance(nic.mac, str) and nic.mac.lower() == one.mac,
    lambda nic, had, _: nic.mac is UNSET and had.mac is UNSET and _said(nic) == _said(had),
    lambda nic, had, _: nic.mac is UNSET and _said(nic) == _said(had),
    lambda nic, had, _: nic.mac is UNSET and _said(nic)[:2] == _said(had)[:2],
)
"""Tried one after the other, for the whole list."""


def chosen(machine: UUID, spec: Spec, has: Spec | None) -> list[int]:
    """The indexes of BRIDGE NICs whose MAC address was newly chosen."""
    bridged = [place for place, nic in enumerate(spec.nics) if nic.type == BRIDGE]
    if not bridged:
        return []
    before = {(nic.host, one) for nic, one in pairs(has) if nic.type == BRIDGE}
    now = pairs(spec)
    return [
        place
        for place, (nic, one) in [(place, now[place]) for place in bridged]
        if (nic.host, one) not in before and one.mac not in made_macs(machine, one.id)
    ]


def trusted(spec: Spec, has: Spec | None) -> list[int]:
    """The indexes of NICs that are newly trusted, on their host NIC."""
    places = [place for place, nic in enumerate(spec.nics) if nic.trusted is True]
    if not places:
        return []
    before = {(one.id, nic.type, nic.host) for nic, one in pairs(has) if nic.trusted is True}
    now = pairs(spec)
    return [
        place
        for place, (nic, one) in [(place, now[place]) for place in places]
        if (one.id, nic.type, nic.host) not in before
    ]
