"""At which addresses QEMU's devices are: where a cold start puts them, or where they were on another host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from velocity.hypervisor.boot import in_order, place
from velocity.hypervisor.port import SECTOR, Bus, DiskSpec, HypervisorError, Input, MachineSpec
from velocity.hypervisor.qemu.disk_options import Drive, is_bridged, kinds

USB_PORTS = 15
"""The most ports of a controller."""
USB_SPARE = 1
"""Ports that stay free: before the device at the last port, QEMU inserts a hub with 12 Mb/s.

The firmware does not find that device in its boot order.
"""
USB_INPUTS = ("usb-kbd", "usb-tablet")
USB_FIRST = USB_PORTS - USB_SPARE - len(USB_INPUTS)
"""Disks on the first controller, which also has keyboard and tablet, if any."""
USB_NEXT = USB_PORTS - USB_SPARE
"""Disks on each further controller."""


class HotCpu(Struct, frozen=True):
    """A hot-plugged CPU: its QEMU type, and its topology."""

    kind: str
    seat: dict[str, int]


class Layout(Struct, frozen=True):
    """The addresses of a run's devices.

    `drives`: those of the disks, in their order, then of the empty drives. `usb`: each controller with its number of
    ports. `plugged`: devices in spare PCI ports, with the ports. `order`: the boot order. `usb_ports` of USB devices
    and `queues` of NICs: where they are not what a start chooses. `cpus` and `memory` (MiB): those of the start; the
    hot-plugged CPUs are beside them. `scsi`: there is a SCSI controller; `thread`: there is an I/O thread for virtio
    disks.
    """

    drives: tuple[Drive, ...]
    usb: dict[str, int]
    order: tuple[str, ...]
    scsi: bool
    thread: bool
    plugged: dict[str, int] = {}
    usb_ports: dict[str, str] = {}
    queues: dict[str, int] = {}
    memory: int = 0
    cpus: int = 0
    more_cpus: tuple[HotCpu, ...] = ()


def cold(spec: MachineSpec) -> Layout:
    """The layout of a cold start."""
    buses = {bus for bus, _, _ in kinds(spec)}
    return Layout(
        drives=tuple(_drives(spec)),
        usb=usb_ports(spec),
        order=tuple(_boot_order(spec)),
        scsi=Bus.VIRTIO in buses,
        thread=bool(buses - {Bus.USB}),
    )


def placed(layout: Layout, spec: MachineSpec) -> list[tuple[Drive, DiskSpec | None]]:
    """Each drive with its disk. Raises `HypervisorError` if the layout is another machine's."""
    found = list(zip(layout.drives, (disk for _, _, disk in kinds(spec)), strict=False))
    fits = [(one.bus, one.cdrom) for one in layout.drives] == [(bus, cdrom) for bus, cdrom, _ in kinds(spec)]
    if not fits:
        raise HypervisorError("its devices differ from those that it should have: try again")
    return found


def nodes(layout: Layout, spec: MachineSpec) -> dict[int, DiskSpec]:
    """Its disks by their numbers in QEMU."""
    return {drive.number: disk for drive, disk in placed(layout, spec) if disk is not None}


def usb_ports(spec: MachineSpec) -> dict[str, int]:
    """The number of USB controllers, and the ports of each. A controller with all its ports slows a start most."""
    places = sum(bus is Bus.USB for bus, _, _ in kinds(spec))
    count = Counter(_controller(place) for place in range(places))
    if inputs := usb_inputs(spec):
        count[0] += len(inputs)
    return {f"xhci{number}": devices + USB_SPARE for number, devices in sorted(count.items())}


def usb_inputs(spec: MachineSpec) -> Sequence[str]:
    return USB_INPUTS if spec.displays and spec.input is Input.USB else ()


def _controller(place: int) -> int:
    """The controller of the n-th USB disk."""
    return 0 if place < USB_FIRST else 1 + (place - USB_FIRST) // USB_NEXT


def _drives(spec: MachineSpec) -> Iterator[Drive]:
    counts: Counter[Bus] = Counter()
    for number, (bus, cdrom, disk) in enumerate(kinds(spec)):
        there = counts[bus]
        at = {Bus.USB: f"xhci{_controller(there)}", Bus.VIRTIO: "scsi", Bus.BLOCK: ""}[bus]
        bridged = is_bridged(bus, cdrom, disk.sector_size if disk else SECTOR)
        yield Drive(number, bus, cdrom, at, there if bus is Bus.VIRTIO else 0, bridged)
        counts[bus] += 1


def _boot_order(spec: MachineSpec) -> list[str]:
    disks = [
        (place(disk, spec.first) if disk else 0, f"dev{number}") for number, (_, _, disk) in enumerate(kinds(spec))
    ]
    nics = [(place(nic, spec.first), nic_device(nic.nic)) for nic in spec.nics]
    return in_order([*disks, *(one for one in nics if one[0])])


BEHIND = 1000
"""The index of devices after all in the boot order."""


def boot_index(layout: Layout, device: str, number: int) -> int:
    """QEMU's bootindex: the first is 1, and none occurs twice."""
    return layout.order.index(device) + 1 if device in layout.order else BEHIND + number


def nic_device(nic: int) -> str:
    """QEMU's id for the NIC with that id."""
    return f"nic{nic}"


def cpu_number(topology: Mapping[str, int]) -> int:
    """Orders CPUs: all are single threads; in older machine types each is a socket of its own."""
    return int(topology.get("socket-id", 0)) * 1000 + int(topology.get("core-id", 0))


def cpu_device(topology: Mapping[str, int]) -> str:
    """QEMU's id for a CPU hot-plugged on this host, or on one before."""
    return f"cpu{cpu_number(topology)}"
