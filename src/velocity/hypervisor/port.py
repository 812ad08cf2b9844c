"""What Velocity asks of a hypervisor: small Protocols that QEMU on one host and many hosts together implement.

The rules of these calls:
- An `Incarnation` names one run of one machine. The store gives the epoch, one more with each start, in the commit
  that precedes it; a host refuses to start a lower one, or one that it has stopped or has reported as `ABSENT`.
- A call names its host and has its caller's deadline, in seconds. It ends as done, as refused (`HypervisorError`: it
  did not happen, and nothing of it remains) or as unknown (`Unknown`: it may still happen). After `Unknown`, ask for
  `facts` until a fact comes; never make the call a second time instead.
- A state never follows from silence. Absence is a fact only in a listing that is complete, or where `facts` says so.
- What is observed is a fact with a number; of two facts of one run, the one with the higher number holds. A call that
  is done returns a number: the news up to that number show what it did.
- Values are tagged structs: the same calls can cross a wire.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from typing import Protocol
from uuid import UUID

from velocity.hypervisor.host import Confinement as Confinement
from velocity.hypervisor.host import HostFacts as HostFacts
from velocity.hypervisor.host import HostNow as HostNow
from velocity.hypervisor.host import NicAddress as NicAddress
from velocity.hypervisor.incarnation import HostId as HostId
from velocity.hypervisor.incarnation import Incarnation as Incarnation
from velocity.hypervisor.mirrors import MirrorProgress as MirrorProgress
from velocity.hypervisor.mirrors import Mirrors as Mirrors
from velocity.hypervisor.mobility import SAID as SAID
from velocity.hypervisor.mobility import Copied as Copied
from velocity.hypervisor.mobility import Landing as Landing
from velocity.hypervisor.mobility import Mobility as Mobility
from velocity.hypervisor.mobility import MovePhase as MovePhase
from velocity.hypervisor.mobility import MoveProgress as MoveProgress
from velocity.hypervisor.mobility import SerialEnd as SerialEnd
from velocity.hypervisor.spec import FIRST_HARDWARE as FIRST_HARDWARE
from velocity.hypervisor.spec import SECTOR as SECTOR
from velocity.hypervisor.spec import BridgeSpec as BridgeSpec
from velocity.hypervisor.spec import Bus as Bus
from velocity.hypervisor.spec import Cache as Cache
from velocity.hypervisor.spec import DiskLimits as DiskLimits
from velocity.hypervisor.spec import DiskSpec as DiskSpec
from velocity.hypervisor.spec import DisplaySpec as DisplaySpec
from velocity.hypervisor.spec import ForwardSpec as ForwardSpec
from velocity.hypervisor.spec import HardwareProfile as HardwareProfile
from velocity.hypervisor.spec import Input as Input
from velocity.hypervisor.spec import MachineSpec as MachineSpec
from velocity.hypervisor.spec import NatSpec as NatSpec
from velocity.hypervisor.spec import NicSpec as NicSpec
from velocity.hypervisor.spec import SeedSpec as SeedSpec
from velocity.storage.port import MediaFiles, MediaRef, Value


class HypervisorError(Exception):
    """The hypervisor refused, with its own message. The request was not carried out, and nothing of it remains."""


NOT_NEWER = "is not newer than run"
"""In the error of a run that never begins: its host has listed its machines without it, or ended it."""


class Unknown(HypervisorError):
    """There was no answer in time: the request may still take effect. Ask `facts`."""


class NotRunning(HypervisorError):
    """There is no such incarnation (any more): `facts` returns its end."""


class NoAgent(HypervisorError):
    """No agent answers in the guest: nothing was sent to one."""


MOST_ENCODED = 4 * (((1 << 20) // 3) + 2)
"""Bytes of base64 that are kept of an agent's output: slightly more than 1 MiB of data needs."""


class Stop(enum.Enum):
    """POWER_BUTTON presses the button once and returns; NOW returns when the machine has ended."""

    POWER_BUTTON = "power button"
    NOW = "now"


class Fact(enum.Enum):
    """What a host knows of a run.

    HELD: loaded, before its first instruction. SILENT: it exists but does not answer; the next fact follows as
    news when it answers again. ABSENT: there is no such run, no end is known, and it will not begin later.
    Of a run that moves between hosts (`Mobility`): INCOMING, it waits for its guest; RECEIVED, it is complete, and
    stands still until `take`; HANDED, its guest was handed to another host, and stands still here for good.
    """

    RUNNING = "running"
    PAUSED = "paused"
    HELD = "held"
    INCOMING = "incoming"
    RECEIVED = "received"
    HANDED = "handed"
    SILENT = "silent"
    ENDED = "ended"
    ABSENT = "absent"


class FactCause(enum.Enum):
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


class FactReport(Value, frozen=True):
    """A fact of one run. `detail`: the hypervisor's own message, for people.

    `devices`: its devices differ from what `Machines.alter` returned last; call it again for the present ones.
    """

    who: Incarnation
    fact: Fact
    why: FactCause
    detail: str = ""
    number: int = 0
    devices: bool = False


class Wait(Value, frozen=True):
    """A field of a `MachineSpec` that could not be changed completely while the machine runs, and the reason.

    `medium`: the medium concerned, if any.
    """

    field: str
    why: str
    medium: UUID | None = None


class Altered(Value, frozen=True):
    """What a run consists of from now on, and which parts of the requested specification wait for the next start."""

    number: int
    spec: MachineSpec
    waits: tuple[Wait, ...] = ()


class Listing(Value, frozen=True):
    """The runs of a host, including those that have ended and are not acknowledged.

    `complete`: a run that is not listed did not exist at `number`, which is higher than those of earlier facts and at
    least 1. Otherwise some could not be checked.
    """

    host: HostId
    found: tuple[FactReport, ...]
    number: int
    complete: bool


class Traffic(Value, frozen=True):
    """Bytes received and sent, from the guest's side."""

    received: int
    sent: int


class Usage(Value, frozen=True):
    """Resource use of one run since its start: growing counters, except `memory`, which is resident now.

    `cpu` is in seconds, the rest in bytes. `net` covers the NICs with links on the host; None: there are none.
    `age` is how many seconds ago its process began.
    """

    cpu: float
    memory: int
    disk_read: int
    disk_written: int
    net: Traffic | None
    age: float = 0.0


class Machines(Protocol):
    """Starting, stopping and changing machines, and the facts about them.

    Calls for one run come one at a time, except `facts` and a `stop` with NOW, which may come at any time: the call
    that such a stop overtakes ends as refused or `NotRunning`. Calls for different runs may overlap freely.
    """

    async def start(self, who: Incarnation, spec: MachineSpec, *, deadline: float) -> int:
        """Start it, and return when it runs (if `held`: is loaded). Idempotent for the same epoch."""

    async def pause(self, who: Incarnation, *, deadline: float) -> int:
        """Halt its CPUs; success if already done."""

    async def resume(self, who: Incarnation, *, deadline: float) -> int:
        """Let its CPUs run (again); success if already done."""

    async def reset(self, who: Incarnation, *, deadline: float) -> int:
        """Boot it again at once, in the same run, without asking the guest; its devices stay.

        A running one keeps running; any other is HELD before its first instruction, whatever it stood still for.
        """

    async def alter(self, who: Incarnation, spec: MachineSpec, *, deadline: float) -> Altered:
        """Change this run into that specification, as far as possible while it runs; success if already done.

        A device that the guest does not release in a moment stays, and waits; when the guest releases it,
        news report it with `devices`. Call again after `Unknown`, and after a kill of the server.
        A disk is identified by its medium and bus, whatever its place.
        """

    async def resize(self, who: Incarnation, media: MediaRef, size: int, *, deadline: float) -> int:
        """Grow one of its writable disks to so many bytes; success if already done.

        Refused if it has no such disk or only reads it, and if the disk is larger: it never shrinks.
        """

    async def stop(self, who: Incarnation, how: Stop, *, deadline: float) -> int:
        """Press its power button, or end it now. Success if it has ended; after NOW, this epoch is never started."""

    async def facts(self, who: Incarnation, *, deadline: float) -> FactReport:
        """Its present fact; its end, until that is acknowledged; or ABSENT, and then this epoch is never started.

        Raises `Unknown`, also while its start is under way.
        """

    async def adopt(self, host: HostId, *, deadline: float) -> Listing:
        """The facts of every run there, after a start of the server or a lost connection.

        A run that does not answer in time, or is being started, is SILENT; one that is not listed does not begin
        later by an earlier request. Raises `Unknown`.
        """

    async def acknowledge(self, who: Incarnation, *, deadline: float) -> None:
        """Its end is stored: it is not reported any more. The start of a higher epoch has the same effect."""

    def news(self, host: HostId) -> AsyncIterator[FactReport]:
        """Every change of every run there, requested or not, with increasing numbers. One reader per host.

        Raises `Unknown` when the host is lost. What happens until somebody reads again is found by `adopt`; the
        numbers may then begin anew.
        """

    async def forget(self, host: HostId, machine: UUID, *, deadline: float) -> None:
        """Remove the files of a deleted machine: its firmware variables and logs."""

    async def close(self) -> None:
        """Stop watching. Machines keep running."""


class ByteStream(Protocol):
    """Raw bytes in both directions."""

    async def read(self) -> bytes:
        """The next bytes; empty at the end."""

    async def write(self, data: bytes) -> None: ...

    async def close(self) -> None: ...


class SerialConsole(Value, frozen=True):
    """The serial console."""


class DisplayConsole(Value, frozen=True):
    """The display at this place in the specification, as an RFB stream."""

    index: int


class Consoles(Protocol):
    """The consoles of machines. Any number of serial streams may be open; the port is drained without them, too."""

    async def open(self, who: Incarnation, which: SerialConsole | DisplayConsole, *, deadline: float) -> ByteStream:
        """Open it. Serial begins with the last output of this run, without its terminal queries.

        Raises `NotRunning`.
        """

    async def type_in(self, who: Incarnation, data: bytes, *, deadline: float) -> int:
        """Type on the serial port. Returns how many bytes were accepted; the guest gets them in order, wherever it is.

        Fewer than all if the guest does not read, or stands still between two hosts, for half of the deadline.
        Raises `NotRunning`: none was accepted.
        """

    async def said(self, host: HostId, machine: UUID, most: int, *, deadline: float) -> bytes:
        """The last output on its serial port, at most so many bytes, of this and earlier runs."""


class Screens(Protocol):
    """Pictures of displays."""

    async def shot(self, who: Incarnation, index: int, *, deadline: float) -> bytes:
        """The present picture of the display at this place in the specification, as PPM (P6, 8 bits a colour).

        Nothing of it remains on the host. Raises `NotRunning`, `Unknown`.
        """


class Meters(Protocol):
    """The resource use of machines."""

    async def measure(self, who: Incarnation, *, deadline: float) -> Usage:
        """Raises `NotRunning`, and `Unknown` when it has not answered in time.

        Calls for one incarnation come one at a time. One that never answers is asked once: while that question is
        open, further calls raise `Unknown` at once.
        """


class Guests(Protocol):
    """The agents in guests, which belong to the guests: QEMU's guest agent, or what poses as one."""

    async def ask(self, who: Incarnation, command: str, arguments: bytes, *, deadline: float) -> bytes:
        """Send one command, with its arguments as a JSON object. Returns its JSON, which is untrusted.

        Of base64 output at most `MOST_ENCODED` bytes are returned. Commands of one run are sent one at a time.
        Raises `NoAgent` and `NotRunning`: it was not sent; `Unknown`: it may still happen; `HypervisorError`: the
        agent has refused, in its own words.
        """


class Hosts(Protocol):
    """Information about a host that needs no answer of a machine."""

    def about(self, host: HostId) -> HostFacts:
        """Its last known facts."""

    async def now(self, host: HostId, *, deadline: float) -> HostNow: ...

    async def memory_free(self, host: HostId, *, deadline: float) -> int:
        """MiB free for a machine now."""

    async def kept(self, host: HostId, *, deadline: float) -> Collection[UUID]:
        """The machines that do not run there and have files that `Machines.forget` removes."""

    async def neighbours(self, host: HostId, *, deadline: float) -> Collection[NicAddress]:
        """The addresses of NICs of machines that run there, as far as the host has seen them (ARP, NDP)."""

    async def confinement(self, who: Incarnation, *, deadline: float) -> Confinement | None:
        """How its process is confined now; None if it does not run."""

    async def command(self, who: Incarnation, *, deadline: float) -> Sequence[str] | None:
        """The command line of its process, read back from it; None if it does not run.

        It contains no path of a medium, and those of the host's own directories are shortened to DATA/... and RUN/...
        """


class Hypervisor(Protocol):
    """Everything that a host offers, in parts; each caller gets only the part that it needs."""

    @property
    def machines(self) -> Machines: ...

    @property
    def consoles(self) -> Consoles: ...

    @property
    def screens(self) -> Screens: ...

    @property
    def meters(self) -> Meters: ...

    @property
    def guests(self) -> Guests: ...

    @property
    def mirrors(self) -> Mirrors: ...

    @property
    def mobility(self) -> Mobility: ...

    @property
    def hosts(self) -> Hosts: ...


HypervisorFactory = Callable[[MediaFiles], Awaitable[Hypervisor]]
"""Makes the driver of a host, which opens media through these files."""
