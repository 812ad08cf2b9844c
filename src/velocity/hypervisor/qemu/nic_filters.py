"""Checks the packet filters and the bridges of runs and their NICs, and restores what was removed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Iterable, Iterator

from velocity.hypervisor.qemu.run_note import Run
from velocity.hypervisor.spec import BridgeSpec
from velocity.network import fence, nat, nft, nic_filter, taps
from velocity.network.nat import Nat, NatNic
from velocity.network.nat_networks import CannotNat
from velocity.regularly import regularly

log = logging.getLogger(__name__)

LOOK = 10.0
"""Seconds between two checks."""


def unfiltered(run: Run, bridge: Nat | None = None) -> Iterator[int]:
    """The ids of its NICs with links on the host that have no working packet filter. `bridge` is that of NAT."""
    yield from _unfiltered(run)
    for nic in nat_nics([run]):
        if bridge is None or not bridge.nic_holds(nic):
            yield run.nic(nic.link).id


def nat_nics(runs: Iterable[Run]) -> list[NatNic]:
    """Their NICs on the NAT bridge."""
    return [
        NatNic(link, nic.mac, nic.addresses, nic.forwards)
        for run in runs
        for link, nic in run.nics.items()
        if nic.addresses
    ]


def looked_at(run: Run, bridge: Nat | None) -> tuple[bool, tuple[int, ...]]:
    """Whether the NAT bridge is filtered, if the run is on it; and its `unfiltered` NICs."""
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
    """Restore filters of BRIDGE NICs whose runs are alive. Those that an earlier version started without stay so."""
    for run in runs:
        links = _bridged(run)
        if run.trusted is None or not links:
            continue
        missing = set(_unfiltered(run))
        for link in links:
            if run.nic(link).id in missing:
                try:
                    taps.filter_again(link, run.nic(link).mac, trusted=link in run.trusted)
                    log.warning("machine %s: the packet filter of %s was missing, and is set again", run.machine, link)
                except taps.CannotConnect as error:
                    log.debug("machine %s: the packet filter of %s is missing: %s", run.machine, link, error)


def restore_nat(runs: Iterable[Run], bridge: Nat | None) -> None:
    """The same for NAT NICs, with everything that they need."""
    if bridge is not None and (nics := nat_nics(runs)):
        bridge.restore(nics, nic_filter.links())


def rejoin(runs: Collection[Run], lost: set[str]) -> None:
    """Put taps back on their bridges, which were removed and made again, as `systemctl restart networking` does.

    `lost`: the links that were on none at the last look, and are set. One that is on none only now may be on its way to
    another bridge.
    """
    now = {link: run for run in runs for link in _bridged(run) if taps.is_tap(link) and taps.carrier(link) is None}
    for link, run in now.items():
        nics = run.made.nics if run.made is not None else ()
        nic = next((one for one in nics if one.nic == run.nic(link).id), None)
        if link not in lost or not isinstance(nic, BridgeSpec) or taps.kind(nic.identifier) != "bridge":
            continue
        try:
            taps.move(link, nic.identifier, nic.mac, trusted=nic.trusted)
            log.warning("machine %s: %s was made anew, and %s is on it again", run.machine, nic.identifier, link)
        except (taps.CannotConnect, OSError) as error:
            log.debug("machine %s: %s is not on %s again: %s", run.machine, link, nic.identifier, error)
    lost.clear()
    lost.update(now)


async def keep(runs: Callable[[], Collection[Run]], uids: range | None, bridge: Nat | None = None) -> None:
    """Restore what somebody removes: loading another packet filter often flushes all rules (nft(8)).

    NAT's bridge and filters are removed some time after the last guest.
    """

    lost: set[str] = set()

    async def again() -> None:
        if present := runs():
            await asyncio.to_thread(look, present, uids, bridge)
            await asyncio.to_thread(rejoin, present, lost)
        if bridge is not None and bridge.exists() and not nat_nics(runs()):
            await asyncio.to_thread(remove_nat, bridge, nat.LINGER)

    await regularly("a look at the packet filters of guests", LOOK, again)


def remove_nat(bridge: Nat, after: float) -> None:
    """Remove them if no guest has used them for so many seconds. What cannot be removed now is tried again."""
    try:
        bridge.remove(after=after)
    except (CannotNat, OSError) as error:
        log.warning("the bridge %s of NAT cannot be removed yet: %s", bridge.bridge, error)


def look(runs: Collection[Run], uids: range | None, bridge: Nat | None = None) -> None:
    """Check the filters of runs whose processes are alive, once."""
    if uids is not None and any(run.nat for run in runs) and not fence.holds(uids):
        with contextlib.suppress(nft.CannotFilter):  # `isolation` says so
            fence.raise_fence(uids)
            log.warning("the packet filter of NAT was missing, and has been set again")
    bridged = [run for run in runs if _bridged(run)]
    there = set(nic_filter.links()) if bridged else set()
    restore(run for run in bridged if not there.issuperset(_bridged(run)))
    restore_nat(runs, bridge)
