"""What Velocity asks of a hypervisor: small Protocols that one host's QEMU and, later, many hosts can both keep.

The law of these calls:

- An `Incarnation` names one run of one machine. The store gives the epoch, one more with each start, in the commit
  that precedes it; news of an older epoch is dropped by the keeper.
- A call ends as done, as refused (`HypervisorError`: it did not happen, and nothing of it remains) or as unknown
  (`Unknown`: it may still happen). Unknown is answered with `adopt`, never with a second start.
- A state never follows from silence.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NewType, Protocol
from uuid import UUID

HostId = NewType("HostId", int)


class HypervisorError(Exception):
    """The hypervisor refused, with its own words. What was asked did not happen, and nothing of it remains."""


class Unknown(HypervisorError):
    """The deadline passed: what was asked may still happen. Ask `adopt` for the facts."""


class NotRunning(HypervisorError):
    """There is no such incarnation (any more)."""


@dataclass(frozen=True)
class Incarnation:
    """One run of one machine on one host."""

    machine: UUID
    host: HostId
    epoch: int


@dataclass(frozen=True)
class MediaRef:
    """A medium, which the host resolves to its file at the start."""

    pool: int
    medium: UUID
    format: str


class Bus(enum.Enum):
    """How a disk is attached."""

    USB = "USB"
    BLOCK = "BLOCK"
    VIRTIO = "VIRTIO"


@dataclass(frozen=True)
class DiskSpec:
    """One medium of a machine; `cdrom` where the bus has such, `readonly` when writing is blocked for any reason."""

    media: MediaRef
    bus: Bus
    readonly: bool
    cdrom: bool


@dataclass(frozen=True)
class DisplaySpec:
    """One display, with its preferred mode in pixels."""

    name: str
    width: int
    height: int


@dataclass(frozen=True)
class NatSpec:
    """A NIC with a private address, DHCP, DNS and the way out."""


@dataclass(frozen=True)
class BridgeSpec:
    """A NIC on a host NIC, named as the host names it."""

    identifier: str


NicSpec = NatSpec | BridgeSpec


@dataclass(frozen=True)
class MachineSpec:
    """A machine, whole. The order of `disks` is the boot order. `memory` is in MiB.

    `held` asks for a machine that is loaded and paused before its first instruction.
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


class Stop(enum.Enum):
    """POWER_BUTTON presses the button once and returns; NOW returns when the machine is gone."""

    POWER_BUTTON = "power button"
    NOW = "now"


class Fact(enum.Enum):
    """What a hypervisor knows of a machine's run."""

    RUNNING = "running"
    PAUSED = "paused"
    HELD = "held"
    ENDED = "ended"


class Why(enum.Enum):
    """The cause of a fact, where one is known."""

    ASKED = "asked"
    GUEST_SHUTDOWN = "guest-shutdown"
    GUEST_RESET = "guest-reset"
    GUEST_PANICKED = "guest-panicked"
    DISK_FULL = "disk-full"
    DISK_ERROR = "disk-error"
    HOST_SIGNAL = "host-signal"
    KILLED = "killed"
    INTERNAL_ERROR = "internal-error"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Changed:
    """News of one incarnation. `detail` is for people: the hypervisor's own words."""

    who: Incarnation
    fact: Fact
    why: Why
    detail: str = ""


@dataclass(frozen=True)
class HostLost:
    """The host does not answer; nothing is known of its machines from now on."""

    host: HostId


@dataclass(frozen=True)
class HostBack:
    """The host answers again: ask `adopt`."""

    host: HostId


News = Changed | HostLost | HostBack
Found = Changed
"""What `adopt` finds: the same facts as news."""


@dataclass(frozen=True)
class HostFacts:
    """What a host can give a machine. Memory is in MiB."""

    accelerator: str
    accelerator_reason: str
    hypervisor: str
    machine_type: str
    firmware: str
    max_cpus: int
    memory: int


@dataclass(frozen=True)
class Confinement:
    """What holds of a machine's process, read back from the running system, never from what was asked for."""

    uid: int
    own_uid: bool
    groups: tuple[int, ...]
    bounding_set: str
    no_new_privileges: bool
    seccomp: bool
    nat_reaches_loopback: bool
    gaps: tuple[str, ...]


@dataclass(frozen=True)
class HostNow:
    """How a host does. Memory is in MiB, `load` the means of 1, 5 and 15 minutes, `uptime` seconds since its start."""

    name: str
    cpus: int
    load: tuple[float, float, float]
    memory: int
    memory_free: int
    uptime: int


@dataclass(frozen=True)
class Traffic:
    """Bytes as the guest counts them: what it received and what it sent."""

    received: int
    sent: int


@dataclass(frozen=True)
class Usage:
    """What one run has taken since its start: counters that only grow, but for `memory`, resident now.

    `cpu` in seconds, the rest in bytes. `net` counts the BRIDGE NICs; None: the run has none.
    """

    cpu: float
    memory: int
    disk_read: int
    disk_written: int
    net: Traffic | None


class Machines(Protocol):
    """The lives of machines. Calls for one incarnation come one at a time; different ones may overlap freely."""

    async def start(self, who: Incarnation, spec: MachineSpec, *, deadline: float) -> None:
        """Start it and return when it runs (or, if `held`, is loaded).

        Idempotent for the same epoch; a lower epoch than one that was started is refused. `deadline` is in seconds.
        """

    async def pause(self, who: Incarnation, *, deadline: float) -> None:
        """Halt its CPUs; done already is success."""

    async def resume(self, who: Incarnation, *, deadline: float) -> None:
        """Let its CPUs run (again); done already is success."""

    async def stop(self, who: Incarnation, how: Stop, *, deadline: float) -> None:
        """Press its power button, or end it now. Already gone is success."""

    async def adopt(self, host: HostId) -> Sequence[Found]:
        """The facts of every incarnation on that host, after a restart or a lost connection.

        Includes those that ended while nobody watched, each once.
        """

    def news(self) -> AsyncIterator[News]:
        """What happens to machines by itself, in order for each one. One reader only.

        What a call brought about is told by its return alone. A call that raised `NotRunning` is followed or preceded
        by the news of the end.
        """

    async def forget(self, machine: UUID) -> None:
        """Remove what is kept for a machine that is no more: its firmware variables and logs."""

    async def close(self) -> None:
        """Stop watching. Machines go on."""


class ByteStream(Protocol):
    """Raw bytes both ways."""

    async def read(self) -> bytes:
        """The next bytes; empty when the other side has ended."""

    async def write(self, data: bytes) -> None: ...

    async def close(self) -> None: ...


@dataclass(frozen=True)
class Serial:
    """The serial console."""


@dataclass(frozen=True)
class Screen:
    """The display at this place in the specification, as an RFB stream."""

    index: int


class Consoles(Protocol):
    """The consoles of machines. Any number of serial streams may be open at once; the port is drained without them."""

    async def open(self, who: Incarnation, which: Serial | Screen) -> ByteStream:
        """Open it. Serial begins with the last of what was said in this run. Raises `NotRunning`."""

    async def said(self, machine: UUID, most: int) -> bytes:
        """The last of what it said on its serial port, at most so many bytes, of this and earlier runs."""


class Screens(Protocol):
    """Pictures of displays."""

    async def shot(self, who: Incarnation, index: int, *, deadline: float) -> bytes:
        """What the display at this place in the specification shows now, as PPM (P6, 8 bits a colour).

        Nothing of it remains with the host. Raises `NotRunning`, `Unknown`.
        """


class Meters(Protocol):
    """What machines take."""

    async def measure(self, who: Incarnation, *, deadline: float) -> Usage:
        """Raises `NotRunning`, and `Unknown` when it has not answered in time.

        Calls for one incarnation come one at a time. One that never answers is asked once: as long as that question is
        open, further calls raise `Unknown` at once.
        """


class Hosts(Protocol):
    """What is known of a host without asking a machine."""

    def facts(self, host: HostId) -> HostFacts: ...

    async def now(self, host: HostId) -> HostNow: ...

    async def memory_free(self, host: HostId) -> int:
        """MiB that a machine could have now."""

    async def kept(self, host: HostId) -> Collection[UUID]:
        """The machines that do not run there and for which something is kept that `Machines.forget` removes."""

    async def confinement(self, who: Incarnation) -> Confinement | None:
        """What holds of its process now; None when it does not run."""

    async def command(self, who: Incarnation) -> Sequence[str] | None:
        """The command that it runs with, read back from the process; None when it does not run.

        No path of a medium is in it, and those of the host's own directories are shortened to DATA/... and RUN/...
        """


class MediaFiles(Protocol):
    """How a host finds a medium's file. Paths never leave the host."""

    def path(self, media: MediaRef) -> Path:
        """Raises `HypervisorError` when the medium is not there."""


class Hypervisor(Machines, Consoles, Screens, Hosts, Meters, Protocol):
    """Everything that one host offers."""
