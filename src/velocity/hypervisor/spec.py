"""A machine's specification for a hypervisor: values of the port."""

from __future__ import annotations

import enum
from typing import Literal
from uuid import UUID

from velocity.storage.port import MediaRef, Value

FIRST_HARDWARE = "1"
"""The `HardwareProfile` of machines created before there were profiles."""


class Bus(enum.Enum):
    """How a disk is attached."""

    USB = "USB"
    BLOCK = "BLOCK"
    VIRTIO = "VIRTIO"


class Cache(enum.Enum):
    """WRITEBACK: through the host's page cache. NONE: direct I/O, if the file system supports it."""

    WRITEBACK = "writeback"
    NONE = "none"


class DiskLimits(Value, frozen=True):
    """The most that a guest may read and write per second; 0: no limit. `iops`, `bytes`: both together."""

    iops: int = 0
    read_iops: int = 0
    write_iops: int = 0
    bytes: int = 0
    read_bytes: int = 0
    write_bytes: int = 0


SECTOR = 512
"""The default sector size of a disk, in bytes."""


class DiskSpec(Value, frozen=True):
    """One medium of a machine; `cdrom` if the bus supports that, `readonly` if writing is blocked for any reason.

    `detect_zeroes`: zeros that are written release their space, as discards do. CD-ROMs have no `sector_size`. `boot`
    is its place in the boot order; 0: after all with a place.
    """

    media: MediaRef
    bus: Bus
    readonly: bool
    cdrom: bool
    cache: Cache = Cache.WRITEBACK
    limits: DiskLimits = DiskLimits()
    detect_zeroes: bool = False
    sector_size: int = SECTOR
    boot: int = 0


class DisplaySpec(Value, frozen=True):
    """One display, with its preferred mode in pixels."""

    name: str
    width: int
    height: int


class Input(enum.Enum):
    """Keyboard and pointer of a machine with a display, besides PS/2."""

    VIRTIO = "virtio"
    PS2 = "ps2"
    USB = "usb"


class ForwardSpec(Value, frozen=True):
    """A port of the host forwarded to a port of the guest (IPv4); an empty `host_address` means all of the host's."""

    host_port: int
    guest_port: int
    protocol: Literal["tcp", "udp"] = "tcp"
    host_address: str = ""


class NatSpec(Value, frozen=True):
    """A NIC with a private address, DHCP, DNS and access to the outside. `nic` is its id, unique in its machine.

    `place` determines its addresses in the host's `nat_networks`; 0: it is in QEMU's user network. `up`: its cable is
    plugged in. `boot` is its place in the boot order; 0: none. `forwards` lead to it.
    """

    nic: int
    mac: str
    place: int = 0
    up: bool = True
    boot: int = 0
    forwards: tuple[ForwardSpec, ...] = ()


class BridgeSpec(Value, frozen=True):
    """A NIC on a host NIC, named as on the host. A `trusted` one may act as a router and as a DHCP server."""

    nic: int
    mac: str
    identifier: str
    trusted: bool = False
    up: bool = True
    boot: int = 0


NicSpec = NatSpec | BridgeSpec


class SeedSpec(Value, frozen=True):
    """The texts that cloud-init in the guest reads from a CD. An empty `network_config` means none.

    They contain secrets, and must not be logged.
    """

    user_data: str
    meta_data: str
    network_config: str = ""

    def __repr__(self) -> str:
        return "SeedSpec(...)"


class MachineSpec(Value, frozen=True):
    """A complete machine. The order of `disks` is the boot order of those without a place of their own.

    `memory` is in MiB. `held`: stopped before the first instruction. `hardware` names one of the host's
    `HardwareProfile`s. `balloon`: memory that the guest frees returns to the host, if the profile supports that. `cpu`
    is best, host, or one of the host's `cpu_models`. `drives` are the buses of empty CD-ROM drives. Only for this
    start: `setup` shows the firmware's setup, and `first` tries this disk (its medium) or NIC first. `max_cpus` and
    `max_memory` are the most that `cpus` and `memory` can become while it runs; 0: no more than at the start.
    """

    name: str
    cpus: int
    memory: int
    machine_type: str
    firmware: str
    disks: tuple[DiskSpec, ...] = ()
    displays: tuple[DisplaySpec, ...] = ()
    nics: tuple[NicSpec, ...] = ()
    held: bool = False
    hardware: str = FIRST_HARDWARE
    balloon: bool = True
    input: Input = Input.USB
    cpu: str = "host"
    drives: tuple[Bus, ...] = ()
    seed: SeedSpec | None = None
    max_cpus: int = 0
    max_memory: int = 0
    setup: bool = False
    first: UUID | int | None = None


class HardwareProfile(Value, frozen=True):
    """A hardware version of machines. `notices`: what a guest with the previous version notices, for people.

    `nat_bridge`: their NAT NICs have addresses of the host's networks, if it has any. `spare_ports`: how many PCI
    devices can be hot-plugged. `agent`: they have a channel to a guest agent.
    """

    name: str
    notices: str
    nat_bridge: bool = False
    spare_ports: int = 0
    agent: bool = False
