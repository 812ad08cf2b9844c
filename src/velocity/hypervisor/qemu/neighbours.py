"""The addresses of BRIDGE NICs that this host has learnt on its bridges."""

from __future__ import annotations

from collections.abc import Iterable

from velocity.hypervisor.port import NicAddress
from velocity.hypervisor.qemu.runs import Run
from velocity.network import neighbours, taps


def heard(runs: Iterable[Run]) -> list[NicAddress]:
    """Those of these runs. NICs are identified by MAC address, but only on their own host NIC."""
    bridged = [(run, link, run.nic(link)) for run in runs for link in run.links if not run.nic(link).addresses]
    if not bridged:
        return []
    table = neighbours.table()
    return [
        NicAddress(run.machine, nic.id, address)
        for run, link, nic in bridged
        for address in table.get((taps.carrier(link), nic.mac), ())
    ]
