"""Port forwards of a running machine: by the kernel on the NAT bridge, otherwise by QEMU.

Forwards are removed before others are added, even if they only change to another NIC.
https://www.qemu.org/docs/master/system/monitor.html (hostfwd_add, hostfwd_remove)
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec import structs

from velocity.hypervisor.port import ForwardSpec, NatSpec
from velocity.hypervisor.qemu.command import netdev
from velocity.hypervisor.qemu.live.change import Change
from velocity.hypervisor.qemu.user_network import forwarded, host_end
from velocity.hypervisor.waits import NO_NIC_YET
from velocity.network import host_ports
from velocity.network.nft import CannotFilter
from velocity.network.rules import link_name
from velocity.uninterrupted import in_thread

FIELD = "forwards"
Forwards = tuple[ForwardSpec, ...]


async def alter(change: Change) -> None:
    """Implements `velocity.hypervisor.qemu.live.Kind`."""
    asked = {nic.nic: nic.forwards for nic in change.asked.nics if isinstance(nic, NatSpec)}
    await _sweep(change)
    for nic in _nat(change):
        kept = tuple(one for one in nic.forwards if one in asked.get(nic.nic, ()))
        if _noted(change, nic) != kept:
            await _set(change, nic, kept)
    for nic in _nat(change):
        coming = [one for one in asked.get(nic.nic, ()) if one not in nic.forwards]
        free = await _free(change, coming)
        if free:
            await _set(change, nic, (*nic.forwards, *free))
    if any(asked[nic] for nic in asked.keys() - {one.nic for one in _nat(change)}):
        change.wait(FIELD, NO_NIC_YET)


def _nat(change: Change) -> list[NatSpec]:
    return [nic for nic in change.made.nics if isinstance(nic, NatSpec)]


async def _free(change: Change, coming: Sequence[ForwardSpec]) -> list[ForwardSpec]:
    found = []
    for one in coming:
        if hindrance := await asyncio.to_thread(host_ports.hindrance, one):
            change.wait(FIELD, hindrance)
        else:
            found.append(one)
    return found


def _noted(change: Change, nic: NatSpec) -> Forwards:
    """Its forwards; on the bridge also those that may exist because a server was killed while it set them."""
    link = link_name("vt", change.run.uid, nic.nic)
    return change.run.nics[link].forwards if link in change.run.nics else nic.forwards


async def _set(change: Change, nic: NatSpec, wanted: Forwards) -> None:
    link = link_name("vt", change.run.uid, nic.nic)
    if link in change.run.nics:
        wanted = await _set_on_bridge(change, nic, link, wanted)
    else:
        wanted = await _set_in_qemu(change, nic, wanted)
    nics = (structs.replace(one, forwards=wanted) if one == nic else one for one in change.made.nics)
    change.made = structs.replace(change.made, nics=tuple(nics))
    await change.note(unsure=())


async def _set_on_bridge(change: Change, nic: NatSpec, link: str, wanted: Forwards) -> Forwards:
    """Returns the forwards that are set. They are noted before, as the check of packet filters relies on that."""
    nat, before = change.place.nat, change.run.nics[link]
    if nat is None:
        return nic.forwards
    for forwards in (wanted, nic.forwards):
        await change.note(nics={**change.run.nics, link: structs.replace(before, forwards=forwards)})
        try:
            await in_thread(nat.forwards.set, link, before.addresses[0], forwards)
            return forwards
        except CannotFilter as error:
            change.wait(FIELD, str(error))
    return nic.forwards


async def _set_in_qemu(change: Change, nic: NatSpec, wanted: Forwards) -> Forwards:
    """Returns the forwards that are set. Each is noted as unsure before, so that a later server finds it."""
    has = list(nic.forwards)
    await change.note(unsure=tuple({*nic.forwards} ^ {*wanted}))
    for one in nic.forwards:
        if one not in wanted:
            await _monitor(change, "hostfwd_remove", nic, host_end(one))
            has.remove(one)
    for one in wanted:
        if one not in has:
            if said := await _monitor(change, "hostfwd_add", nic, forwarded(one)):
                change.wait(FIELD, f"QEMU reports: {said}")
            else:
                has.append(one)
    return tuple(has)


async def _sweep(change: Change) -> None:
    """Remove forwards that a killed server may have set."""
    unsure = change.run.unsure
    if not unsure:
        return
    for nic in _nat(change):
        if not nic.place:
            for one in unsure:
                await _monitor(change, "hostfwd_remove", nic, host_end(one))
    nics = (
        structs.replace(nic, forwards=tuple(one for one in nic.forwards if one not in unsure))
        if isinstance(nic, NatSpec) and not nic.place
        else nic
        for nic in change.made.nics
    )
    change.made = structs.replace(change.made, nics=tuple(nics))
    await change.note(unsure=())


async def _monitor(change: Change, command: str, nic: NatSpec, words: str) -> str:
    """QEMU's reply, which is empty if the command succeeded."""
    line = f"{command} {netdev(nic.nic)} {words}"
    return str(await change.execute("human-monitor-command", **{"command-line": line})).strip()
