"""The addresses of NICs that this host has learnt on its bridges, NAT's among them."""

from __future__ import annotations

from collections.abc import Iterable

from velocity.hypervisor.port import NicAddress
from velocity.hypervisor.qemu.run_note import Run
from velocity.network import neighbours, taps


def heard(runs: Iterable[Run]) -> list[NicAddress]:
    """Those of these runs. NICs are identified by MAC address, but only on their own host NIC; NAT's have those that
    it gives them.
    """
    linked = [(run, link, run.nic(link)) for run in runs for link in run.links]
    if not linked:
        return []
    table = neighbours.table()
    return [
        NicAddress(run.machine, nic.id, address)
        for run, link, nic in linked
        for address in table.get((taps.carrier(link), nic.mac), ())
        if not nic.addresses or address in nic.addresses
    ]
