"""Hot-plug of NICs at spare PCI ports, their link state, and moves to other networks.

A NIC that was there at the start is on the root bus, which has no hot-unplug.
https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html (netdev_add, device_add, device_del, set_link)
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from msgspec import structs

from velocity import sandbox
from velocity.hypervisor.port import ForwardSpec, HypervisorError, NatSpec, NicSpec, Unknown
from velocity.hypervisor.qemu import nic_links
from velocity.hypervisor.qemu.command import NatDevice, TapDevice, is_nic, netdev, vectors
from velocity.hypervisor.qemu.disk_options import as_arguments
from velocity.hypervisor.qemu.layout import nic_device
from velocity.hypervisor.qemu.link_state import set_links
from velocity.hypervisor.qemu.live import networks, unplug
from velocity.hypervisor.qemu.live.change import Change
from velocity.hypervisor.waits import COLD_NIC, NEEDS_PORTS, NO_PORT, NOT_YET, SAME_MAC, USER_NETWORK
from velocity.network.rules import link_name, slot
from velocity.network.taps import CannotConnect
from velocity.uninterrupted import in_thread

FIELD = "nics"


async def alter(change: Change) -> None:
    """Implements `velocity.hypervisor.qemu.live.Kind`. Port forwards are another module's: see `forwards`."""
    lead = {nic.nic: nic_links.leading(nic) for nic in change.made.nics}
    wanted_nics = [_led(nic, lead.get(nic.nic, ())) for nic in change.asked.nics]
    asked = {nic.nic: nic for nic in wanted_nics}
    await _sweep(change, asked)
    for nic in change.made.nics:
        wanted = asked.get(nic.nic)
        if wanted is None:
            await _remove(change, nic)
        elif wanted != nic:
            await _become(change, nic, wanted)
    has = {nic.nic for nic in change.made.nics}
    for nic in wanted_nics:
        if nic.nic not in has:
            await _add(change, nic)


def _led(nic: NicSpec, forwards: tuple[ForwardSpec, ...]) -> NicSpec:
    return structs.replace(nic, forwards=forwards) if isinstance(nic, NatSpec) else nic


async def _become(change: Change, nic: NicSpec, wanted: NicSpec) -> None:
    if wanted.mac != nic.mac:
        change.wait(FIELD, SAME_MAC)
        wanted = structs.replace(wanted, mac=nic.mac)
    wanted = structs.replace(wanted, boot=nic.boot)  # which is not this module's
    if structs.replace(wanted, up=nic.up) != nic:
        nic = await _move(change, nic, wanted)
    if nic.up != wanted.up:
        await _plug(change, nic.nic, up=wanted.up)
        nic = structs.replace(nic, up=wanted.up)
    await _note(change, nic)


async def _move(change: Change, nic: NicSpec, wanted: NicSpec) -> NicSpec:
    """Attach it to another network, with its link down meanwhile, so that the guest configures it anew.

    Returns the NIC.
    """
    if why := networks.keeps_from(change.run, nic, wanted):
        change.wait(FIELD, why)
        return nic
    quiet = networks.is_quiet(nic, wanted)
    if nic.up and not quiet:
        await _plug(change, nic.nic, up=False)
    try:
        run = await in_thread(networks.move, change.place, change.run, nic, wanted, change.keep)
    except (CannotConnect, OSError) as error:
        change.wait(FIELD, str(error))
        wanted = nic
    else:
        await change.note(links=run.links, trusted=run.trusted, nics=run.nics)
    if nic.up and not quiet:
        await _plug(change, nic.nic, up=True)
    return structs.replace(wanted, up=nic.up)


async def _plug(change: Change, nic: int, *, up: bool) -> None:
    await set_links(change.qemu.execute, {nic: up}, change.left)


async def _note(change: Change, nic: NicSpec, **more: Any) -> None:
    """Record that it is so now."""
    order = {one.nic: place for place, one in enumerate(change.asked.nics)}
    others = [one for one in change.made.nics if one.nic != nic.nic]
    nics = sorted([*others, nic], key=lambda one: order.get(one.nic, len(order)))
    change.made = structs.replace(change.made, nics=tuple(nics))
    await change.note(**more)


# Out


async def _sweep(change: Change, asked: Mapping[int, NicSpec]) -> None:
    """Complete, or undo, the hot-plug that a killed server had begun."""
    for number in _plugged(change) - {nic.nic for nic in change.made.nics}:
        there, wanted = await unplug.is_there(change, nic_device(number)), asked.get(number)
        if there and wanted is not None:
            await _plug(change, number, up=wanted.up)
            await _note(change, wanted)
        elif there and not await unplug.unplug(change, nic_device(number)):
            change.wait(FIELD, NOT_YET)
        else:
            await _forget(change, number)


def _plugged(change: Change) -> set[int]:
    """The NICs that are, or may be, in spare ports."""
    return {int(one.removeprefix("nic")) for one in change.run.plugged if is_nic(one)}


async def _remove(change: Change, nic: NicSpec) -> None:
    """Take it off the network at once, whatever the guest does; its backend is removed when the guest releases it."""
    device = nic_device(nic.nic)
    plugged = device in change.run.plugged
    if not plugged or await unplug.is_there(change, device):
        if nic.up:
            await _plug(change, nic.nic, up=False)
            await _note(change, structs.replace(nic, up=False))
        if not plugged or not await unplug.unplug(change, device):
            change.wait(FIELD, NOT_YET if plugged else COLD_NIC)
            return
    change.made = structs.replace(change.made, nics=tuple(one for one in change.made.nics if one.nic != nic.nic))
    await _forget(change, nic.nic)


async def _forget(change: Change, nic: int) -> None:
    """Remove the backend of a NIC that is gone, and its link on the host."""
    change.qemu.releases.over(nic_device(nic))
    await unplug.execute_if_there(change, "netdev_del", netdev(nic))
    run = change.run
    link = link_name("vt", run.uid, nic)
    if link in run.links:
        await in_thread(nic_links.disconnect, change.place, run, link)
    await change.note(
        links=tuple(one for one in run.links if one != link),
        trusted=None if run.trusted is None else tuple(one for one in run.trusted if one != link),
        nics={one: about for one, about in run.nics.items() if one != link},
        plugged={one: port for one, port in run.plugged.items() if one != nic_device(nic)},
    )


# In


async def _add(change: Change, nic: NicSpec) -> None:
    port = change.free_port()
    if why := _keeps_out(change, nic, port):
        change.wait(FIELD, why)
        return
    assert port is not None
    try:
        await _note_coming(change, nic, port)
        with contextlib.ExitStack() as copies:
            made = await in_thread(
                nic_links.connect_nic, change.place, change.run, change.made, nic, copies
            )  # fmt: skip
            await _give(change, made)
        await change.execute("device_add", **_device(made, change.hardware.place(port)))
    except (CannotConnect, HypervisorError, OSError) as error:
        if isinstance(error, Unknown):
            raise
        await _forget(change, nic.nic)
        change.wait(FIELD, str(error))
        return
    if not nic.up:
        await _plug(change, nic.nic, up=False)
    await _note(change, nic)


def _keeps_out(change: Change, nic: NicSpec, port: int | None) -> str:
    run = change.run
    if not change.hardware.spare_ports:
        return NEEDS_PORTS
    taken = {one.nic for one in change.made.nics} | _plugged(change)
    if port is None or slot(nic.nic) in map(slot, taken):
        return NO_PORT
    alone = change.place.privileged and not sandbox.missing() and not run.nat
    return USER_NETWORK if alone and not nic_links.has_link(nic) else ""


async def _note_coming(change: Change, nic: NicSpec, port: int) -> None:
    """Note it before QEMU has anything of it, so that a later server finds it."""
    run = change.run
    one = nic_links.with_links(change.place, run, [nic])
    await change.note(
        links=(*run.links, *one.links),
        trusted=None if run.trusted is None else (*run.trusted, *(one.trusted or ())),
        nics={**run.nics, **one.nics},
        plugged={**run.plugged, nic_device(nic.nic): port},
    )


async def _give(change: Change, made: NatDevice | TapDevice) -> None:
    """Create its backend, with copies of the descriptors of its link."""
    if isinstance(made, NatDevice):
        await change.execute("netdev_add", type="user", id=netdev(made.nic))
        return
    names: dict[str, str] = {}
    for kind, descriptors in (("fd", made.fds), ("vhostfd", made.vhost)):
        for place, descriptor in enumerate(descriptors):
            name = f"{netdev(made.nic)}-{kind}{place}"
            await change.qemu.give(descriptor, name, deadline=change.left)
            names[kind] = f"{names[kind]}:{name}" if kind in names else name
    several = "s" if len(made.fds) > 1 else ""
    about: dict[str, Any] = {f"{kind}{several}": name for kind, name in names.items()}
    if made.vhost:
        about["vhost"] = True
    await change.execute("netdev_add", type="tap", id=netdev(made.nic), **about)


def _device(made: NatDevice | TapDevice, place: str) -> dict[str, Any]:
    about: dict[str, Any] = {"mac": made.mac, "romfile": "", **as_arguments(place)}
    if isinstance(made, TapDevice) and len(made.fds) > 1:
        about |= {"mq": True, "vectors": vectors(len(made.fds))}
    return {"driver": "virtio-net-pci", "id": nic_device(made.nic), "netdev": netdev(made.nic), **about}
