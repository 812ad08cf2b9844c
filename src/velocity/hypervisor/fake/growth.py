"""NICs, CPUs and memory of the machines in memory: how they change while they run."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import structs

from velocity.hypervisor.port import FIRST_HARDWARE, BridgeSpec, MachineSpec, NatSpec, NicSpec, Wait
from velocity.hypervisor.waits import (
    COLD_NIC,
    LESS_CPUS,
    LESS_MEMORY,
    MORE_CPUS,
    MORE_MEMORY,
    NEEDS_PORTS,
    NO_NIC_YET,
    NOT_YET,
    SAME_MAC,
    USER_NETWORK,
)


def become(
    begun: MachineSpec, has: MachineSpec, asked: MachineSpec, *, clings: bool, taken: Collection[int] = ()
) -> tuple[MachineSpec, list[Wait]]:
    """What it is made of from here on, and what waits: see `live.become`. Other processes have `taken` ports."""
    waits: list[Wait] = []
    nics = _led(_nics(begun, has, asked, waits, clings=clings), asked, taken, waits)
    memory = _memory(begun, has, asked, waits, clings=clings)
    return structs.replace(has, nics=nics, cpus=_cpus(has, asked, waits), memory=memory), waits


def _cpus(has: MachineSpec, asked: MachineSpec, waits: list[Wait]) -> int:
    if asked.cpus < has.cpus:
        waits.append(Wait("cpus", LESS_CPUS))
    if asked.cpus > max(has.cpus, has.max_cpus):
        waits.append(Wait("cpus", MORE_CPUS))
    return max(has.cpus, min(asked.cpus, has.max_cpus))


def _memory(begun: MachineSpec, has: MachineSpec, asked: MachineSpec, waits: list[Wait], *, clings: bool) -> int:
    most = max(begun.memory, begun.max_memory)
    least = has.memory if clings else begun.memory
    made = has.memory if not begun.max_memory else min(most, max(least, asked.memory))
    if made != asked.memory:
        less = NOT_YET if clings and asked.memory < has.memory else LESS_MEMORY.format(begun.memory)
        waits.append(Wait("memory", less if asked.memory < made and begun.max_memory else MORE_MEMORY))
    return made


def _nics(
    begun: MachineSpec, has: MachineSpec, asked: MachineSpec, waits: list[Wait], *, clings: bool
) -> tuple[NicSpec, ...]:
    cold, had = {nic.nic for nic in begun.nics}, {nic.nic: nic for nic in has.nics}
    made = []
    for nic in asked.nics:
        if nic.nic in had:
            made.append(_changed(had[nic.nic], nic, waits))
        elif has.hardware == FIRST_HARDWARE:
            waits.append(Wait("nics", NEEDS_PORTS))
        else:
            made.append(nic)
    gone = had.keys() - {nic.nic for nic in asked.nics}
    stay = [nic for nic in gone if nic in cold or clings]
    waits.extend(Wait("nics", COLD_NIC if nic in cold else NOT_YET) for nic in stay)
    return (*made, *(structs.replace(had[nic], up=False) for nic in sorted(stay)))


def _led(
    nics: tuple[NicSpec, ...], asked: MachineSpec, taken: Collection[int], waits: list[Wait]
) -> tuple[NicSpec, ...]:
    """With those ports of the host that can lead to them."""
    wanted = {nic.nic: nic.forwards for nic in asked.nics if isinstance(nic, NatSpec)}
    coming = [one for forwards in wanted.values() for one in forwards]
    free = [one for one in coming if one.host_port not in taken]
    waits.extend(
        Wait("forwards", f"a process of the host has its port {one.host_port}") for one in coming if one not in free
    )
    there = {nic.nic for nic in nics if isinstance(nic, NatSpec)}
    if any(wanted[nic] for nic in wanted.keys() - there):
        waits.append(Wait("forwards", NO_NIC_YET))
    return tuple(
        structs.replace(nic, forwards=tuple(one for one in wanted.get(nic.nic, ()) if one in free))
        if isinstance(nic, NatSpec)
        else nic
        for nic in nics
    )


def _changed(has: NicSpec, asked: NicSpec, waits: list[Wait]) -> NicSpec:
    if has.mac != asked.mac:
        waits.append(Wait("nics", SAME_MAC))
        asked = structs.replace(asked, mac=has.mac)
    if _has_link(has) != _has_link(asked):
        waits.append(Wait("nics", USER_NETWORK))
        return structs.replace(has, up=asked.up)
    return asked


def _has_link(nic: NicSpec) -> bool:
    return isinstance(nic, BridgeSpec) or nic.place > 0
