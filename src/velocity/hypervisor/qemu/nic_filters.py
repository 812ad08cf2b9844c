"""The packet filters of runs, of their BRIDGE NICs above all: whether they hold, and setting again what is gone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Iterable, Iterator

from velocity.hypervisor.qemu.runs import Run
from velocity.network import fence, nft, nic_filter, taps

log = logging.getLogger(__name__)

LOOK = 10.0
"""Seconds between two looks at whether the filters are there."""


def unfiltered(run: Run) -> Iterator[int]:
    """The ids of its BRIDGE NICs that are not held to what they may say."""
    for link in run.links:
        nic = run.nic(link)
        trusted = run.trusted is None or link in run.trusted
        if not nic_filter.holds(link, nic.mac, trusted=trusted):
            yield nic.id


def restore(runs: Iterable[Run]) -> None:
    """Of runs whose processes live. Those that an earlier version has started without filters stay as they are."""
    for run in runs:
        if run.trusted is None or not run.links:
            continue
        missing = set(unfiltered(run))
        for link in run.links:
            if run.nic(link).id in missing:
                try:
                    taps.filter_again(link, run.nic(link).mac, trusted=link in run.trusted)
                    log.warning("machine %s: the packet filter of %s was gone, and is set again", run.machine, link)
                except taps.CannotConnect as error:
                    log.debug("machine %s: the packet filter of %s is gone: %s", run.machine, link, error)


async def keep(runs: Callable[[], Collection[Run]], uids: range | None) -> None:
    """Set again what somebody removes: whoever loads a packet filter of their own often flushes all others (nft(8))."""
    while True:
        await asyncio.sleep(LOOK)
        if present := runs():
            await asyncio.to_thread(look, present, uids)


def look(runs: Collection[Run], uids: range | None) -> None:
    """One look at the filters of runs whose processes live."""
    if uids is not None and any(run.nat for run in runs) and not fence.holds(uids):
        with contextlib.suppress(nft.CannotFilter):  # `isolation` says so
            fence.raise_fence(uids)
            log.warning("the packet filter around NAT was gone, and is set again")
    bridged = [run for run in runs if run.links]
    there = set(nic_filter.links()) if bridged else set()
    restore(run for run in bridged if not there.issuperset(run.links))
