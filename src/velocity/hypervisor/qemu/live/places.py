"""Finds the place at which a disk can be hot-plugged, and adds controllers for it."""

from __future__ import annotations

from velocity.hypervisor.port import SECTOR, Bus, HypervisorError, NotRunning, Unknown
from velocity.hypervisor.qemu.command import thread_of
from velocity.hypervisor.qemu.disk_options import Drive, as_arguments, is_bridged
from velocity.hypervisor.qemu.layout import USB_PORTS, usb_inputs
from velocity.hypervisor.qemu.live.change import Change
from velocity.hypervisor.qemu.live.found import Found
from velocity.hypervisor.waits import FULL

NEWER = "needs hardware 2, from its next start on: `velocity vm set VM --hardware latest`"


class NoPlace(HypervisorError):
    """There is no place; the message has the cure."""


async def place(
    change: Change, found: Found, bus: Bus, number: int, *, cdrom: bool, sector_size: int = SECTOR
) -> Drive:
    """The place of a new drive; adds its controller if necessary. Raises `NoPlace`, `HypervisorError`."""
    match bus:
        case Bus.VIRTIO:
            await _controller(change, found, "scsi", "virtio-scsi-pci")
            taken = {one.unit for one in change.drives if one.bus is Bus.VIRTIO}
            unit = next(one for one in range(len(taken) + 1) if one not in taken)
            return Drive(number, bus, cdrom, "scsi", unit)
        case Bus.USB:
            return Drive(number, bus, cdrom, await _usb(change, found), bridged=is_bridged(bus, cdrom, sector_size))
        case _:
            await _thread(change, found)
            return Drive(number, bus, cdrom, f"spare{await _port(change, f'dev{number}')}")


async def _port(change: Change, device: str) -> int:
    port = change.free_port()
    if port is None:
        raise NoPlace(FULL if change.hardware.spare_ports else NEWER)
    await change.note(plugged={**change.run.plugged, device: port})
    return port


async def _controller(change: Change, found: Found, device: str, kind: str) -> None:
    if device in found.devices:
        return
    await _thread(change, found)
    port = await _port(change, device)
    await _plug(change, f"{kind},id={device},{change.hardware.place(port)}{thread_of(change.hardware)}")
    found.devices.add(device)


async def _thread(change: Change, found: Found) -> None:
    if change.hardware.io_thread and "io" not in found.objects:
        await change.execute("object-add", **{"qom-type": "iothread", "id": "io"})
        found.objects.add("io")


async def _usb(change: Change, found: Found) -> str:
    """A controller with a free port, besides one that stays free: an existing one, or a new one if possible."""
    there = {one: ports - _taken(change, one) for one, ports in change.run.usb.items() if one in found.devices}
    for controller, free in sorted(there.items(), key=lambda one: one[1], reverse=True):
        if free > 1 or (free == 1 and change.free_port() is None):
            return controller
    number = next(one for one in range(len(change.run.usb) + 1) if f"xhci{one}" not in change.run.usb)
    controller = f"xhci{number}"
    port = await _port(change, controller)
    await change.note(usb={**change.run.usb, controller: USB_PORTS})
    place = change.hardware.place(port, virtio=False)
    await _plug(change, f"qemu-xhci,id={controller},p2={USB_PORTS},p3={USB_PORTS},{place}")
    found.devices.add(controller)
    return controller


def _taken(change: Change, controller: str) -> int:
    disks = sum(one.at == controller for one in change.drives)
    return disks + (len(usb_inputs(change.made)) if controller == "xhci0" else 0)


def ports_to_try(change: Change, drive: Drive) -> list[str]:
    """The values of the option `port` to try: none, unless the device takes a controller's last port.

    QEMU inserts a slow hub before such a device unless the port is given, and only QEMU knows which one is free.
    """
    ports = change.run.usb.get(drive.at, 0)
    if drive.bus is not Bus.USB or _taken(change, drive.at) < ports:
        return [""]
    return [f",port={port}" for port in range(ports, 0, -1)]


async def _plug(change: Change, text: str) -> None:
    try:
        await change.execute("device_add", **as_arguments(text))
    except (Unknown, NotRunning):
        raise
    except HypervisorError:
        device = as_arguments(text)["id"]
        usb = {one: ports for one, ports in change.run.usb.items() if one != device}
        await change.note(plugged={one: port for one, port in change.run.plugged.items() if one != device}, usb=usb)
        raise
