"""NICs, CPUs, memory and displays of a running VM: which changes wait, and what the run is afterwards. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import UNSET, structs

from velocity.contract.machines import Display, Interface, Nic, NicType
from velocity.hypervisor.port import HostFacts, MachineSpec, NatSpec
from velocity.hypervisor.waits import (
    COLD_DISPLAY,
    COLD_NIC,
    LESS_CPUS,
    LESS_MEMORY,
    MORE_CPUS,
    MORE_MEMORY,
    NEEDS_PORTS,
    NO_PORT,
    SAME_MAC,
    USER_NETWORK,
)
from velocity.machines.rules import Spec, on_bridge
from velocity.machines.settings import disks, forwards, interfaces


def cpus_wait(spec: Spec, run: Spec, facts: HostFacts) -> str:
    """Implements `velocity.machines.settings.forecast.Why`."""
    if spec.cpus < run.cpus:
        return LESS_CPUS
    return MORE_CPUS if spec.cpus > max(run.cpus, run.max_cpus) else ""


def memory_waits(spec: Spec, run: Spec, facts: HostFacts) -> str:
    """Implements `velocity.machines.settings.forecast.Why`."""
    if spec.memory_mib > run.max_memory_mib or not run.max_memory_mib:
        return MORE_MEMORY
    return LESS_MEMORY.format(run.began_mib) if spec.memory_mib < run.began_mib else ""


def nics_wait(spec: Spec, run: Spec, facts: HostFacts) -> str:
    """Implements `velocity.machines.settings.forecast.Why`."""
    return next(_whys(spec, run, facts), "")


def displays_wait(spec: Spec, run: Spec, facts: HostFacts) -> str:
    """Implements `forecast.Why`. Whether a guest follows a new size shows only when it is tried."""
    return COLD_DISPLAY if len(spec.displays) != len(run.displays) else ""


def _displays(run: Spec, spec: Spec, made: MachineSpec) -> list[Display]:
    """The displays under their present names, without the dots per inch, which are only reported to the guest."""
    if len(made.displays) != len(spec.displays):
        return run.displays
    sizes = zip(spec.displays, made.displays, strict=True)
    return [structs.replace(one, width=size.width, height=size.height) for one, size in sizes]


def _whys(spec: Spec, run: Spec, facts: HostFacts) -> Iterator[str]:
    had = {one.id: (nic, one) for nic, one in interfaces.pairs(run)}
    wanted = {one.id: (nic, one) for nic, one in interfaces.pairs(spec)}
    if any(nic <= run.last_nic for nic in had.keys() - wanted.keys()):
        yield COLD_NIC
    if not disks.has_ports(run, facts):
        lacks = NEEDS_PORTS
    else:
        lacks = NO_PORT if len(wanted.keys() - had.keys()) > disks.ports_for_nics(spec, run, facts) else ""
    for number, (nic, one) in wanted.items():
        if number not in had:
            if lacks:
                yield lacks
            continue
        before, has = had[number]
        if has.mac != one.mac:
            yield SAME_MAC
        if _in_user_network(before, number in run.nat_places) != _in_user_network(nic, on_bridge(spec, facts)):
            yield USER_NETWORK


def _in_user_network(nic: Nic, on_bridge: bool) -> bool:
    return nic.type == NicType.NAT.value and not on_bridge


def after(run: Spec, spec: Spec, asked: MachineSpec, made: MachineSpec) -> dict[str, Any]:
    """The fields of a run that the hypervisor reports as this one.

    Its `last_nic` stays: NICs with a higher id were plugged in while it ran.
    """
    as_asked = {one.nic: forwards.bare(one) for one in asked.nics}
    had = {one.id: (nic, one) for nic, one in interfaces.pairs(run)}
    wanted = {one.id: (nic, one) for nic, one in interfaces.pairs(spec)}
    found: list[tuple[Nic, Interface]] = []
    for one in made.nics:
        if as_asked.get(one.nic) == forwards.bare(one):
            found.append(wanted[one.nic])
            continue
        nic, interface = had.get(one.nic) or wanted[one.nic]
        found.append((structs.replace(nic, link=UNSET if one.up else "down"), interface))
    return {
        "nics": [nic for nic, _ in found],
        "interfaces": tuple(one for _, one in found),
        "nat_places": {one.nic: one.place for one in made.nics if isinstance(one, NatSpec) and one.place},
        **forwards.after(made),
        "cpus": made.cpus,
        "memory_mib": made.memory,
        "displays": _displays(run, spec, made),
    }
