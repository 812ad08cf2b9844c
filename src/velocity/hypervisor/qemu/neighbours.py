"""The addresses of BRIDGE NICs that this host has heard on the bridges that they are on."""

from __future__ import annotations

from collections.abc import Iterable

from velocity.hypervisor.port import NicAddress
from velocity.hypervisor.qemu.runs import Run
from velocity.network import neighbours, taps


def heard(runs: Iterable[Run]) -> list[NicAddress]:
    """Of these runs. A NIC is told by its MAC address, on its own host NIC alone: elsewhere it may be another's."""
    bridged = [(run, link, run.nic(link)) for run in runs for link in run.links if not run.nic(link).addresses]
    if not bridged:
        return []
    table = neighbours.table()
    return [
        NicAddress(run.machine, nic.id, address)
        for run, link, nic in bridged
        for address in table.get((taps.carrier(link), nic.mac), ())
    ]
