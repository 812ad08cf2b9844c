"""The settings of a VM, and the types that they are made of."""

from __future__ import annotations

import enum
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from velocity.contract import fields
from velocity.contract.cloud_init import CloudInit, CloudInitInfo
from velocity.contract.fields import Mac, Name, NicId, Nicid, Notes, Positive, Word
from velocity.contract.operation import Wire
from velocity.contract.settings import Setting


class MediaMode(enum.Enum):
    """How a medium is attached: USB mass storage, virtio block device, or disk on a virtio SCSI controller."""

    USB = "USB"
    BLOCK = "BLOCK"
    VIRTIO = "VIRTIO"


class NicType(enum.Enum):
    """NAT: a private address with DHCP, DNS and internet access. BRIDGE: attached to a host NIC."""

    NAT = "NAT"
    BRIDGE = "BRIDGE"


class NatKind(enum.Enum):
    """BRIDGE: a bridge of the host, which assigns addresses. USER: QEMU's user network, the same for each VM."""

    BRIDGE = "BRIDGE"
    USER = "USER"


Pixels = Annotated[int, Meta(ge=1, le=8192, description="pixels, 1 to 8,192")]
Trusted = Annotated[
    bool,
    Meta(
        description="may act as a router and as a DHCP server, and use VLANs (BRIDGE only); needs "
        "velocity.nic.trust on the VM's group; absent: false"
    ),
]


LinkState = Annotated[
    Literal["up", "down"],
    Meta(description='whether its cable is plugged in, as the guest sees it; set at once while it runs; absent: "up"'),
]


class Display(Wire, frozen=True):
    name: Name
    width: Pixels
    height: Pixels
    ppi: Annotated[int, Meta(ge=1, le=10000, description="pixels per inch; stored and reported")] = 96


Cache = Annotated[
    Literal["writeback", "none"],
    Meta(
        description="writeback: through the host's page cache; none: direct I/O, if the pool's file system supports "
        "it; absent: writeback; with both, a guest's flush reaches the disk"
    ),
]


Operations = Annotated[int, Meta(ge=1, le=10**9, description="operations a second")]
BytesPerSecond = Annotated[int, Meta(ge=512, le=10**12, description="bytes a second")]


class DiskLimits(Wire, frozen=True):
    """The most that a guest may do with a disk each second: reads and writes together, or each; absent: no limit.

    They take effect at once, also while the VM runs.
    """

    iops: Operations | UnsetType = UNSET
    read_iops: Operations | UnsetType = UNSET
    write_iops: Operations | UnsetType = UNSET
    bytes: BytesPerSecond | UnsetType = UNSET
    read_bytes: BytesPerSecond | UnsetType = UNSET
    write_bytes: BytesPerSecond | UnsetType = UNSET


SectorSize = Annotated[
    Literal[512, 4096],
    Meta(
        description="bytes of a sector as the guest sees it, except of CD-ROMs; absent: unchanged, for a new disk 512"
    ),
]


BootPlace = Annotated[
    int,
    Meta(
        ge=1,
        le=99,
        description="its unique place in the boot order of media and NICs: 1 is tried first. Media without a place "
        "follow in the order of the list; NICs without one are not tried",
    ),
]


class Attachment(Wire, frozen=True):
    mid: UUID
    mode: Annotated[Word, fields.one_of("USB", "BLOCK", "VIRTIO")]
    readonly: bool = False
    cache: Cache | UnsetType = UNSET
    limits: DiskLimits | UnsetType = UNSET
    detect_zeroes: (
        Annotated[bool, Meta(description="whether written zeros free space on the host; absent: false")] | UnsetType
    ) = UNSET
    sector_size: SectorSize | UnsetType = UNSET
    boot: BootPlace | UnsetType = UNSET


class NextBoot(Wire, frozen=True):
    """A choice for the next start alone: one of these."""

    firmware_setup: Annotated[bool, Meta(description="show the setup of the firmware")] | UnsetType = UNSET
    mid: Annotated[UUID, Meta(description="try this medium first")] | UnsetType = UNSET
    nic: Annotated[int, Meta(ge=1, le=2**31 - 1, description="try this NIC first, by its id")] | UnsetType = UNSET


class EmptyDrive(Wire, frozen=True):
    """A CD-ROM drive without a medium."""

    mode: Annotated[Literal["USB", "VIRTIO"], Meta(description="how it is attached")]


class Nic(Wire, frozen=True):
    type: Annotated[Word, fields.one_of("NAT", "BRIDGE")]
    host: Nicid | UnsetType = UNSET
    """The host NIC to bridge (BRIDGE only)."""
    trusted: Trusted | UnsetType = UNSET
    id: NicId | UnsetType = UNSET
    mac: Mac | UnsetType = UNSET
    link: LinkState | UnsetType = UNSET
    boot: BootPlace | UnsetType = UNSET


class AddressSource(enum.Enum):
    """LEASE: reserved by NAT; not known to be used by the guest. NEIGHBOUR: seen by the host on the bridge (ARP, NDP).
    AGENT: reported by the guest."""

    LEASE = "lease"
    NEIGHBOUR = "neighbour"
    AGENT = "agent"


class KnownAddress(Wire, frozen=True):
    address: str
    source: AddressSource


class Interface(Wire, frozen=True):
    """What the server stores for a NIC, wherever it is in `nics`."""

    id: Annotated[int, Meta(description="never reused in one VM")]
    mac: Annotated[str, Meta(description="its MAC address, in lower case")]
    nat: (
        Annotated[
            NatKind,
            Meta(
                description="for a NAT NIC: on the host's bridge, with `addresses` of its own, or in QEMU's user "
                "network; while the VM runs, as it was started"
            ),
        ]
        | UnsetType
    ) = UNSET
    addresses: Annotated[list[str], Meta(description="those assigned by the host's bridge, IPv4 first")] | UnsetType = (
        UNSET
    )
    known_addresses: (
        Annotated[
            list[KnownAddress],
            Meta(description="all known addresses, each once, NAT's first, then the most reliable; absent: none"),
        ]
        | UnsetType
    ) = UNSET


Port = Annotated[int, Meta(ge=1, le=65535, description="a port, 1 to 65,535")]
OCTET = r"(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
HostAddress = Annotated[
    str,
    Meta(
        pattern=rf"^(?!0\.)({OCTET}\.){{3}}{OCTET}\Z",
        description="an IPv4 address of the host, such as 127.0.0.1; absent: all of them",
    ),
]


class Forward(Wire, frozen=True):
    """A port of the host that is forwarded to a port of the VM, on its first NAT NIC."""

    host_port: Port
    guest_port: Port
    protocol: Literal["tcp", "udp"] = "tcp"
    host_address: HostAddress | UnsetType = UNSET


Forwards = Annotated[
    list[Forward],
    Meta(max_length=64, description="port forwards from the host to it, at most 64; they change at once while it runs"),
]
Displays = Annotated[list[Display], Meta(max_length=8, description="at most 8")]
Attachments = Annotated[list[Attachment], Meta(max_length=32, description="at most 32, in boot order")]
Drives = Annotated[
    list[EmptyDrive],
    Meta(
        max_length=4,
        description="empty CD-ROM drives, at most 4; an ISO added to `media` goes into an empty drive of the same mode",
    ),
]
Nics = Annotated[list[Nic], Meta(max_length=8, description="at most 8")]


Input = Annotated[
    Literal["virtio", "ps2", "usb"],
    Meta(
        description="keyboard and pointer beside the PS/2 ones that every VM has, if it has a display: virtio devices, "
        "none, or a USB keyboard and tablet"
    ),
]


Cpu = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z",
        description='"best": the fastest on this host; "host": all features of the host, also under software '
        "emulation; or a QEMU model that this host supports, such as Nehalem or EPYC",
    ),
]


MaxCpus = Annotated[
    int,
    Meta(ge=0, le=2**31 - 1, description="the most `cpus` while it runs; 0: as many as at its start"),
]
MaxMemory = Annotated[
    int,
    Meta(
        ge=0,
        le=2**31 - 1,
        description="the largest `memory_mib` while it runs; 0: as much as at its start",
    ),
]


WORD = r"^[A-Za-z0-9._-]*\Z"
Spread = Annotated[
    str,
    Meta(
        max_length=64,
        pattern=WORD,
        description="VMs of a group with the same word are placed on different hosts as far as possible; "
        "empty: on any host",
    ),
]
Together = Annotated[
    str,
    Meta(
        max_length=64,
        pattern=WORD,
        description="VMs of a group with the same word are placed on the same host as far as possible; this "
        "comes before `spread`; empty: on any host",
    ),
]
Ha = Annotated[
    Literal["off", "restart"],
    Meta(
        description="restart: if it should run and its process or its host fails, it is started again, with growing "
        "pauses; elsewhere only once its host is confirmed dead"
    ),
]
StartOrder = Annotated[
    int,
    Meta(
        ge=0,
        le=1000,
        description="its place among the VMs that the server starts by itself (`autostart`, `ha`), two at a time: 1 is "
        "first; 0: after all that have a place; of equals, the oldest is first",
    ),
]
HostLabel = Annotated[str, Meta(max_length=128, pattern=r"^[A-Za-z0-9._/-]{1,63}(=[A-Za-z0-9._-]{0,63})?\Z")]
HostLabels = Annotated[
    list[HostLabel],
    Meta(
        max_length=16,
        description="labels that its host must have, each as name=value, or a name with any value",
    ),
]


Autostart = Annotated[
    bool,
    Meta(description="start it whenever the server starts, unless it runs: also if a user has stopped it"),
]


class VmSettings(Wire, frozen=True, kw_only=True):
    """All that is set for a VM except its name. Requests, responses and stored rows derive from it.

    Its words are in `cli/vm_settings.py`, `cli/apply/file.py` and `web/src/ui/vmSettings.ts`.
    """

    cpus: Positive
    memory_mib: Positive
    displays: Displays = []
    media: Attachments = []
    drives: Drives = []
    nics: Nics = []
    forwards: Forwards = []
    input: Input = "virtio"
    cpu: Cpu = "best"
    rosetta: bool = False
    balloon: fields.Balloon = True
    max_cpus: MaxCpus = 0
    max_memory_mib: MaxMemory = 0
    autostart: Annotated[Autostart, Setting(waits=False)] = False
    notes: Annotated[Notes, Setting(waits=False)] = ""
    spread: Annotated[Spread, Setting(waits=False)] = ""
    together: Annotated[Together, Setting(waits=False)] = ""
    host_labels: Annotated[HostLabels, Setting(waits=False)] = []
    ha: Annotated[Ha, Setting(waits=False)] = "off"
    start_order: Annotated[StartOrder, Setting(waits=False)] = 0
    cloud_init: Annotated[CloudInit | UnsetType, Setting(shown=CloudInitInfo)] = UNSET
