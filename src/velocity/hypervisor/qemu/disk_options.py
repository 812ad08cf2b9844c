"""QEMU's options for a disk or a CD-ROM drive: the same on the command line and for hot-plug, without side effects.

https://www.qemu.org/docs/master/system/invocation.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from velocity.hypervisor.port import SECTOR, Bus, DiskSpec, MachineSpec

CHOICES = frozenset({"locking", "disable-legacy"})
"""Options with more values than on and off."""
FUNCTIONS = 8
"""Devices per PCI slot, one per function, so that a VM at every limit still has free slots."""
NUMBERS = frozenset({"bootindex", "scsi-id", "logical_block_size", "physical_block_size", "p2", "p3"})


class Drive(Struct, frozen=True):
    """A disk, or a CD-ROM drive with or without a medium, of a run. `number` names its devices in QEMU.

    `at` is its controller or spare port; empty: the root bus. `unit` is its SCSI id. `bridged`: it is a SCSI device
    behind a USB controller of its own.
    """

    number: int
    bus: Bus
    cdrom: bool
    at: str
    unit: int = 0
    bridged: bool = False

    @property
    def device(self) -> str:
        """The id of the device that the guest sees."""
        return f"dev{self.number}"

    @property
    def outer(self) -> str:
        """The id of the device that has to be unplugged with it."""
        return f"bot{self.number}" if self.bridged else self.device


def kinds(spec: MachineSpec) -> list[tuple[Bus, bool, DiskSpec | None]]:
    """A machine's drives at its start: its disks, then its empty drives."""
    return [*((one.bus, one.cdrom, one) for one in spec.disks), *((bus, True, None) for bus in spec.drives)]


def is_bridged(bus: Bus, cdrom: bool, sector_size: int) -> bool:
    """CD-ROMs, and sector sizes that usb-storage does not pass on to its disk."""
    return bus is Bus.USB and (cdrom or sector_size != SECTOR)


def node_name(number: int) -> str:
    return f"disk{number}"


def mirror_name(source: int, target: int) -> str:
    """The name of the job that copies one disk to another, and of the filter node above the source meanwhile."""
    return f"mirror{source}.{target}"


MIRROR = re.compile(r"mirror(\d{1,6})\.(\d{1,6})")
ROOT = re.compile(r"(?:disk|mirror)(\d{1,6})(?:\.\d{1,6})?")


def number_of(root: object) -> int | None:
    """The number of the disk that uses this block node; None: not one of ours."""
    match = ROOT.fullmatch(str(root))
    return int(match[1]) if match else None


def node(disk: DiskSpec, number: int, fdset: int, direct: str | None, *, shared: bool) -> str:
    """The block node. `shared`: locking is required; by default QEMU goes without where a file system has no locks."""
    name = node_name(number)
    text = f"driver={disk.media.format},node-name={name},file.driver=file,file.filename=/dev/fdset/{fdset}"
    if shared:
        text += ",file.locking=on"
    if direct:
        text += f",cache.direct=on,file.cache.direct=on,file.aio={direct}"
    if disk.readonly:
        return f"{text},read-only=on,file.read-only=on"
    return f"{text},discard=unmap{',detect-zeroes=unmap' if disk.detect_zeroes else ''}"


def devices(drive: Drive, disk: DiskSpec | None, where: str, boot: int, thread: str) -> Iterator[str]:
    """Its devices, outermost first. `where` is its bus or address; `disk` None: the drive is empty."""
    common = f"id={drive.device},bootindex={boot}"
    if disk is not None:
        common = f"drive={node_name(drive.number)},{common}"
    if drive.bridged:
        yield f"usb-bot,id={drive.outer},{where}"
        where = f"bus={drive.outer}.0"
    if drive.bus is Bus.VIRTIO:
        where = f"{where},scsi-id={drive.unit}"
    if drive.cdrom:
        yield f"scsi-cd,{where},{common}"
        return
    assert disk is not None
    serial = f"serial={disk.media.medium.hex[:20]}"
    if disk.sector_size != SECTOR:
        serial += f",logical_block_size={disk.sector_size},physical_block_size={disk.sector_size}"
    about = f"{serial},werror=stop,rerror=stop,{common}"
    match drive.bus:
        case Bus.USB:
            yield f"{'scsi-hd' if drive.bridged else 'usb-storage'},{where},removable=on,{about}"
        case Bus.VIRTIO:
            yield f"scsi-hd,{where},{about}"
        case _:
            yield f"virtio-blk-pci,{where},{about}{thread}"


def address(slot: int, place: int) -> str:
    """The PCI address of the n-th device from that slot on, eight functions to a slot."""
    return f"addr={slot + place // FUNCTIONS:#x}.{place % FUNCTIONS:#x},multifunction=on"


def as_arguments(text: str) -> dict[str, Any]:
    """The arguments of `device_add`. Values contain no commas; the first word is the driver."""
    found: dict[str, Any] = {}
    for number, option in enumerate(text.split(",")):
        name, equals, value = option.partition("=")
        if number == 0 and not equals:
            name, value = "driver", name
        *outer, last = name.split(".")
        into = found
        for key in outer:
            into = into.setdefault(key, {})
        switch = value if last in CHOICES else {"on": True, "off": False}.get(value, value)
        into[last] = int(value) if last in NUMBERS else switch
    return found
