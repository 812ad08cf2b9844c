"""Where the devices are that QEMU is started with: where a start puts them, or where they were on another host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from velocity.hypervisor.boot import in_order, place
from velocity.hypervisor.port import SECTOR, Bus, DiskSpec, HypervisorError, Input, MachineSpec
from velocity.hypervisor.qemu.disk_options import Drive, is_bridged, kinds

USB_PORTS = 15
"""A controller has at most so many."""
USB_SPARE = 1
"""Ports that stay free: QEMU puts a hub of its own, at 12 Mb/s, before the device that would take the last one, and
the firmware's boot order does not find that device."""
USB_INPUTS = ("usb-kbd", "usb-tablet")
USB_FIRST = USB_PORTS - USB_SPARE - len(USB_INPUTS)
"""Disks on the first controller, which also carries keyboard and tablet, if there are any."""
USB_NEXT = USB_PORTS - USB_SPARE
"""Disks on each further one."""


class HotCpu(Struct, frozen=True):
    """A CPU that came after the start: what QEMU calls its kind, and its seat."""

    kind: str
    seat: dict[str, int]


class Layout(Struct, frozen=True):
    """`drives`: those of the disks, in their order, then the empty ones. `usb`: each controller with its ports.

    `plugged`: what is in spare PCI ports, with the ports. `order`: what the firmware tries. Of what a start chooses by
    itself, and was chosen otherwise: `usb_ports` of USB devices, `queues` of NICs; of the start, its `cpus` and its
    `memory` in MiB, with the CPUs that came later.
    `scsi`: there is a SCSI controller; `thread`: and one that serves virtio disks.
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
    """As a start has it."""
    buses = {bus for bus, _, _ in kinds(spec)}
    return Layout(
        drives=tuple(_drives(spec)),
        usb=usb_ports(spec),
        order=tuple(_boot_order(spec)),
        scsi=Bus.VIRTIO in buses,
        thread=bool(buses - {Bus.USB}),
    )


def placed(layout: Layout, spec: MachineSpec) -> list[tuple[Drive, DiskSpec | None]]:
    """Each drive with its disk. Raises `HypervisorError` where a layout is another machine's."""
    found = list(zip(layout.drives, (disk for _, _, disk in kinds(spec)), strict=False))
    fits = [(one.bus, one.cdrom) for one in layout.drives] == [(bus, cdrom) for bus, cdrom, _ in kinds(spec)]
    if not fits:
        raise HypervisorError("its devices are others than those that it is to have: begin anew")
    return found


def nodes(layout: Layout, spec: MachineSpec) -> dict[int, DiskSpec]:
    """Its disks by their numbers in QEMU."""
    return {drive.number: disk for drive, disk in placed(layout, spec) if disk is not None}


def usb_ports(spec: MachineSpec) -> dict[str, int]:
    """The USB controllers that are needed, and the ports of each.

    One with all ports delays a start more than all else.
    """
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
"""Behind the boot order: of what is not in it."""


def boot_index(layout: Layout, device: str, number: int) -> int:
    """As QEMU takes it; the first one has 1, and no two have the same."""
    return layout.order.index(device) + 1 if device in layout.order else BEHIND + number


def nic_device(nic: int) -> str:
    """What QEMU calls the NIC with that id."""
    return f"nic{nic}"


def seat_number(seat: Mapping[str, int]) -> int:
    """All CPUs are single threads; where each is a socket of its own, as with older machine types, that counts."""
    return int(seat.get("socket-id", 0)) * 1000 + int(seat.get("core-id", 0))


def cpu_device(seat: Mapping[str, int]) -> str:
    """What QEMU calls a CPU that came after the start, on this host or on one before."""
    return f"cpu{seat_number(seat)}"


def bus_of(plugged: Mapping[str, int], device: str) -> str | None:
    """The bus of what is in a spare port; None: it is on the root bus."""
    return f"bus=spare{plugged[device]}" if device in plugged else None
