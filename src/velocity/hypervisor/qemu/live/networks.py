"""Moves NICs to another network while the guest runs: the guest keeps the device and its address.

QEMU cannot exchange the backend of a NIC; the kernel can attach a tap to another bridge. ip-link(8)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from msgspec import structs

from velocity.hypervisor.port import BridgeSpec, NicSpec
from velocity.hypervisor.qemu.directories import HostDirectories
from velocity.hypervisor.qemu.nic_links import has_link, with_links
from velocity.hypervisor.qemu.run_note import Run
from velocity.hypervisor.waits import NO_BRIDGE, USER_NETWORK
from velocity.network import taps
from velocity.network.nat import NatNic
from velocity.network.rules import link_name


def is_quiet(nic: NicSpec, wanted: NicSpec) -> bool:
    """Whether it stays on its network: the guest notices nothing."""
    return isinstance(nic, BridgeSpec) and isinstance(wanted, BridgeSpec) and nic.identifier == wanted.identifier


def keeps_from(run: Run, nic: NicSpec, wanted: NicSpec) -> str:
    """Why it is not possible; empty: it is."""
    if not has_link(nic) or not has_link(wanted):
        return USER_NETWORK
    if is_quiet(nic, wanted):
        return ""
    to_bridge = not isinstance(wanted, BridgeSpec) or taps.kind(wanted.identifier) == "bridge"
    return "" if to_bridge and taps.is_tap(link_name("vt", run.uid, nic.nic)) else NO_BRIDGE


def move(place: HostDirectories, run: Run, nic: NicSpec, wanted: NicSpec, keep: Callable[[Run], None]) -> Run:
    """Move it; returns the run's note. `keep` is told before, because it checks filters and addresses.

    Blocks while `ip` and `nft` run. Raises `CannotConnect`, `OSError`: it is where it was, if that is possible.
    """
    link = link_name("vt", run.uid, nic.nic)
    after = _noted(place, run, link, wanted)
    keep(after)
    try:
        _take(place, after, link, wanted)
    except (taps.CannotConnect, OSError):
        keep(run)
        with contextlib.suppress(taps.CannotConnect, OSError):
            _take(place, run, link, nic)
        raise
    before = run.nic(link)
    lead = before.forwards if isinstance(wanted, BridgeSpec) else ()
    if place.nat is not None and before.addresses and before.addresses != after.nics[link].addresses:
        place.nat.release(NatNic(link, before.mac, before.addresses, lead))
    return after


def _noted(place: HostDirectories, run: Run, link: str, wanted: NicSpec) -> Run:
    one = with_links(place, run, [wanted])
    others = [name for name in run.trusted or () if name != link]
    trusted = None if run.trusted is None else (*others, *(one.trusted or ()))
    return structs.replace(run, nics={**run.nics, **one.nics}, trusted=trusted)


def _take(place: HostDirectories, run: Run, link: str, wanted: NicSpec) -> None:
    if not isinstance(wanted, BridgeSpec):
        assert place.nat is not None
        place.nat.take_over(NatNic(link, wanted.mac, run.nics[link].addresses, wanted.forwards))
    elif taps.carrier(link) == wanted.identifier:
        taps.filter_again(link, wanted.mac, trusted=wanted.trusted)
    else:
        taps.move(link, wanted.identifier, wanted.mac, trusted=wanted.trusted)
