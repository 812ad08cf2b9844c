"""The packet filters of the BRIDGE NICs of runs: whether they hold, and setting again what somebody has removed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from velocity.hypervisor.qemu.runs import Run
from velocity.network import nic_filter, taps
from velocity.network.rules import mac, nic_place

log = logging.getLogger(__name__)


def unfiltered(run: Run) -> Iterator[int]:
    """The places of its BRIDGE NICs that are not held to what they may say."""
    for link in run.links:
        place = nic_place(link)
        trusted = run.trusted is None or link in run.trusted
        if not nic_filter.holds(link, mac(run.machine, place), trusted=trusted):
            yield place


def restore(runs: Iterable[Run]) -> None:
    """Of runs whose processes live. Those that an earlier version has started without filters stay as they are."""
    for run in runs:
        if run.trusted is None or not run.links:
            continue
        missing = set(unfiltered(run))
        for link in run.links:
            if nic_place(link) in missing:
                try:
                    taps.filter_again(link, mac(run.machine, nic_place(link)), trusted=link in run.trusted)
                    log.warning("machine %s: the packet filter of %s was gone, and is set again", run.machine, link)
                except taps.CannotConnect as error:
                    log.warning("machine %s: the packet filter of %s is gone: %s", run.machine, link, error)
