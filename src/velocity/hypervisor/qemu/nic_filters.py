"""The packet filters of runs, of their NICs above all: whether they hold, and setting again what is gone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Iterable, Iterator

from velocity.hypervisor.qemu.runs import Run
from velocity.network import fence, nat, nft, nic_filter, taps
from velocity.network.nat import Nat, NatNic
from velocity.network.nat_networks import CannotNat

log = logging.getLogger(__name__)

LOOK = 10.0
"""Seconds between two looks at whether the filters are there."""


def unfiltered(run: Run, bridge: Nat | None = None) -> Iterator[int]:
    """The ids of its NICs with links on the host that are not held to what they may say. `bridge` is that of NAT."""
    yield from _unfiltered(run)
    for nic in nat_nics([run]):
        if bridge is None or not bridge.nic_holds(nic):
            yield run.nic(nic.link).id


def nat_nics(runs: Iterable[Run]) -> list[NatNic]:
    """Their NICs on the bridge of NAT."""
    return [
        NatNic(link, nic.mac, nic.addresses, nic.forwards)
        for run in runs
        for link, nic in run.nics.items()
        if nic.addresses
    ]


def looked_at(run: Run, bridge: Nat | None) -> tuple[bool, tuple[int, ...]]:
    """Whether the bridge of NAT is shut, if it is on that; and its `unfiltered` NICs."""
    shut = not nat_nics([run]) or (bridge is not None and bridge.holds())
    return shut, tuple(unfiltered(run, bridge))


def _unfiltered(run: Run) -> Iterator[int]:
    for link in _bridged(run):
        nic = run.nic(link)
        trusted = run.trusted is None or link in run.trusted
        if not nic_filter.holds(link, nic.mac, trusted=trusted):
            yield nic.id


def _bridged(run: Run) -> list[str]:
    return [link for link in run.links if not run.nic(link).addresses]


def restore(runs: Iterable[Run]) -> None:
    """Of BRIDGE NICs of runs whose processes live. Those that an earlier version has started without filters stay as
    they are."""
    for run in runs:
        links = _bridged(run)
        if run.trusted is None or not links:
            continue
        missing = set(_unfiltered(run))
        for link in links:
            if run.nic(link).id in missing:
                try:
                    taps.filter_again(link, run.nic(link).mac, trusted=link in run.trusted)
                    log.warning("machine %s: the packet filter of %s was gone, and is set again", run.machine, link)
                except taps.CannotConnect as error:
                    log.debug("machine %s: the packet filter of %s is gone: %s", run.machine, link, error)


def restore_nat(runs: Iterable[Run], bridge: Nat | None) -> None:
    """The same of NAT NICs, with all that they need."""
    if bridge is not None and (nics := nat_nics(runs)):
        bridge.restore(nics, nic_filter.links())


async def keep(runs: Callable[[], Collection[Run]], uids: range | None, bridge: Nat | None = None) -> None:
    """Set again what somebody removes: whoever loads a packet filter of their own often flushes all others (nft(8)).

    What NAT had is removed some time after the last guest on its bridge.
    """
    while True:
        await asyncio.sleep(LOOK)
        if present := runs():
            await asyncio.to_thread(look, present, uids, bridge)
        if bridge is not None and bridge.exists() and not nat_nics(runs()):
            await asyncio.to_thread(remove_nat, bridge, nat.LINGER)


def remove_nat(bridge: Nat, after: float) -> None:
    """Remove what NAT had, if nobody has been on it for so many seconds. What cannot be removed now is tried again."""
    try:
        bridge.remove(after=after)
    except (CannotNat, OSError) as error:
        log.warning("the bridge %s of NAT cannot be removed yet: %s", bridge.bridge, error)


def look(runs: Collection[Run], uids: range | None, bridge: Nat | None = None) -> None:
    """One look at the filters of runs whose processes live."""
    if uids is not None and any(run.nat for run in runs) and not fence.holds(uids):
        with contextlib.suppress(nft.CannotFilter):  # `isolation` says so
            fence.raise_fence(uids)
            log.warning("the packet filter around NAT was gone, and is set again")
    bridged = [run for run in runs if _bridged(run)]
    there = set(nic_filter.links()) if bridged else set()
    restore(run for run in bridged if not there.issuperset(_bridged(run)))
    restore_nat(runs, bridge)
