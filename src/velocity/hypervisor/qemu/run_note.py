"""The note of a run: where it is found again, what it is made of by now, and how it ended."""

from __future__ import annotations

import enum
from uuid import UUID

from msgspec import Struct

from velocity.hypervisor.port import DiskSpec, FactCause, ForwardSpec, MachineSpec
from velocity.hypervisor.qemu.disk_options import Drive
from velocity.hypervisor.qemu.spool import SpoolRange
from velocity.network.rules import made_macs, older_nic


class Between(enum.Enum):
    """Where a run is between two hosts. SENDING: of a move something may be in it. HANDED: its guest may be elsewhere.

    It is noted before it may be so.
    """

    INCOMING = "incoming"
    SENDING = "sending"
    HANDED = "handed"


class RunEnd(Struct, frozen=True):
    """How a run ended."""

    why: FactCause
    detail: str = ""


class RunNic(Struct, frozen=True):
    """A NIC of a run with a link on the host: its id, its MAC address and, on the bridge of NAT, its addresses.

    `forwards` lead, or may lead, to it there.
    """

    id: int
    mac: str
    addresses: tuple[str, ...] = ()
    forwards: tuple[ForwardSpec, ...] = ()


class RunMirror(Struct, frozen=True):
    """A file that a disk is copied to, as the file system knows it. `halted`: its machine is halted for its sake."""

    device: int
    inode: int
    halted: bool = False


class Run(Struct, frozen=True):
    """One run as it is found again. `started` is the process's start time in clock ticks since the host's boot.

    A pid alone proves nothing: pid, start time and boot together name a process.
    """

    machine: UUID
    epoch: int
    boot: str
    pid: int = 0
    started: int = 0
    uid: int = -1
    nat: bool = False
    """It has a NIC in QEMU's user network."""
    links: tuple[str, ...] = ()
    trusted: tuple[str, ...] | None = None
    """The links of trusted NICs; None: an earlier version started it, without packet filters, or that is not known."""
    spool: SpoolRange | None = None
    """Of the files that its QEMU writes to; None: one that an earlier version started."""
    end: RunEnd | None = None
    """It has ended, and nobody has acknowledged that yet."""
    nics: dict[str, RunNic] = {}
    """By their links; one that is not there: an earlier version started it."""
    made: MachineSpec | None = None
    """What it is made of by now; None: an earlier version started it, or that is not known."""
    disks_in_memory: int = 0
    """MiB of the host's memory that its disks may take."""
    drives: tuple[Drive, ...] = ()
    """Its disks and CD-ROM drives that are, or may be, there."""
    nodes: dict[int, DiskSpec] = {}
    """What is, or may be, open in QEMU: by the number of its node."""
    usb: dict[str, int] = {}
    """Its USB controllers, and the ports of each."""
    order: tuple[str, ...] = ()
    """The devices that its firmware tries, the first one first; none of them: that may not be known."""
    mirrors: dict[int, RunMirror] = {}
    """Of `nodes`, those that others are, or were, copied to."""
    plugged: dict[str, int] = {}
    """The devices that are, or may be, in spare PCI ports: their ids, and the ports."""

    unsure: tuple[ForwardSpec, ...] = ()
    """Of QEMU's user network, ports of the host that are being set: they may be there or not."""

    between: Between | None = None
    begun: int = 0
    """The epoch that its process began with, if that is another: its guest was handed over, and came back."""

    @property
    def first_epoch(self) -> int:
        return self.begun or self.epoch

    def nic(self, link: str) -> RunNic:
        """The NIC that a link is of. An earlier version made its MAC address of its place."""
        older = older_nic(link)
        return self.nics.get(link) or RunNic(older, next(made_macs(self.machine, older)))
