"""The note of a run: how it is found again, what it is made of, and how it ended."""

from __future__ import annotations

import enum
from uuid import UUID

from msgspec import Struct

from velocity.hypervisor.port import DiskSpec, FactCause, ForwardSpec, MachineSpec
from velocity.hypervisor.qemu.disk_options import Drive
from velocity.hypervisor.qemu.spool import SpoolRange
from velocity.network.rules import made_macs, older_nic


class Between(enum.Enum):
    """Whether a run is between two hosts.

    SENDING: QEMU may have something of a move in it. HANDED: its guest may be elsewhere. Noted before it may be so.
    """

    INCOMING = "incoming"
    SENDING = "sending"
    HANDED = "handed"


class RunEnd(Struct, frozen=True):
    """How a run ended."""

    why: FactCause
    detail: str = ""


class RunNic(Struct, frozen=True):
    """A NIC of a run with a link on the host: its id, MAC address and, on the NAT bridge, its addresses.

    `forwards` lead, or may lead, to it there.
    """

    id: int
    mac: str
    addresses: tuple[str, ...] = ()
    forwards: tuple[ForwardSpec, ...] = ()


class RunMirror(Struct, frozen=True):
    """The target of a mirror job, identified in its file system. `halted`: the machine is stopped for its sake."""

    device: int
    inode: int
    halted: bool = False


class Run(Struct, frozen=True):
    """One run, as it is found again. `started` is the process's start time in clock ticks since boot.

    A pid alone proves nothing: pid, start time and boot id together identify a process.
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
    """The links of trusted NICs; None: started by an earlier version, without packet filters, or not known."""
    spool: SpoolRange | None = None
    """The range of its output files; None: an earlier version started it."""
    end: RunEnd | None = None
    """It has ended, and nobody has acknowledged that yet."""
    nics: dict[str, RunNic] = {}
    """By link; links that are missing were created by an earlier version."""
    made: MachineSpec | None = None
    """What it is made of by now; None: an earlier version started it, or that is not known."""
    disks_in_memory: int = 0
    """MiB of the host's memory that the disks may take with which it was started."""
    in_memory: dict[int, int] = {}
    """MiB of it that disks may take since: by the number of the block node."""
    drives: tuple[Drive, ...] = ()
    """The disks and CD-ROM drives that it has, or may have."""
    nodes: dict[int, DiskSpec] = {}
    """The files that QEMU has, or may have, open: by the number of the block node."""
    usb: dict[str, int] = {}
    """Its USB controllers, with the number of ports of each."""
    order: tuple[str, ...] = ()
    """The devices that the firmware tries, the first one first; empty: perhaps not known."""
    mirrors: dict[int, RunMirror] = {}
    """Those of `nodes` that are, or were, targets of mirror jobs."""
    plugged: dict[str, int] = {}
    """The ids of devices that are, or may be, in spare PCI ports, with the ports."""

    unsure: tuple[ForwardSpec, ...] = ()
    """Forwards of QEMU's user network that are being set: they may exist or not."""

    between: Between | None = None
    begun: int = 0
    """The epoch with which its process began, if another: its guest was handed over, and came back."""

    @property
    def first_epoch(self) -> int:
        return self.begun or self.epoch

    @property
    def memory_of_disks(self) -> int:
        """MiB of the host's memory that its disks may take."""
        return self.disks_in_memory + sum(self.in_memory.get(number, 0) for number in self.nodes)

    def nic(self, link: str) -> RunNic:
        """The NIC of a link. An earlier version derived its MAC address from its place."""
        older = older_nic(link)
        return self.nics.get(link) or RunNic(older, next(made_macs(self.machine, older)))
