"""What Velocity asks of a hypervisor: small Protocols that QEMU on one host and many hosts together implement.

The law of these calls:

- An `Incarnation` names one run of one machine. The store gives the epoch, one more with each start, in the commit
  that precedes it; a host refuses to start a lower one, or one that it has said to be `ABSENT` or has stopped.
- A call names its host and has its caller's deadline, in seconds. It ends as done, as refused (`HypervisorError`: it
  did not happen, and nothing of it remains) or as unknown (`Unknown`: it may still happen). Unknown is answered by
  asking `facts` until a fact comes, never with a second deed.
- A state never follows from silence. Absence is a fact only in a listing that is complete, or where `facts` says so.
- What is observed is a fact with a number; of two facts of one run, the one with the higher number holds. A call that
  is done returns a number: the news up to it tell what it did.
- Values are tagged structs: the same calls can cross a wire.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Collection, Sequence
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
from velocity.storage.port import MediaRef, Value


class HypervisorError(Exception):
    """The hypervisor refused, with its own words. What was asked did not happen, and nothing of it remains."""


class Unknown(HypervisorError):
    """There was no answer in time: what was asked may still happen. Ask `facts`."""


class NotRunning(HypervisorError):
    """There is no such incarnation (any more): `facts` tells its end."""


class NoAgent(HypervisorError):
    """No agent answers in the guest: nothing was sent to one."""


MOST_ENCODED = 4 * (((1 << 20) // 3) + 2)
"""Bytes of base64 that are kept of a text of an agent: a little more than what 1 MiB takes."""


class Stop(enum.Enum):
    """POWER_BUTTON presses the button once and returns; NOW returns when the machine is gone."""

    POWER_BUTTON = "power button"
    NOW = "now"


class Fact(enum.Enum):
    """What a host knows of a run.

    HELD: loaded, before its first instruction. SILENT: it is there, and does not say what it does; the fact follows as
    news when it answers again. ABSENT: there is no such run, nothing is known of an end, and none will begin.
    Of one that is moved between hosts (`Mobility`): INCOMING, it waits for its guest; RECEIVED, all of it is there, and
    stands still until `take`; HANDED, its guest was given to another host, and stands still here for good.
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
    """A fact of one run. `detail` is for people: the hypervisor's own words.

    `devices`: its devices are others than `Machines.alter` has told last; that call tells which.
    """

    who: Incarnation
    fact: Fact
    why: FactCause
    detail: str = ""
    number: int = 0
    devices: bool = False


class Wait(Value, frozen=True):
    """A field of a `MachineSpec` of which not all could be changed while the machine runs, and why, for people.

    `medium` is the one that it is about, if it is about one.
    """

    field: str
    why: str
    medium: UUID | None = None


class Altered(Value, frozen=True):
    """What a run is made of from here on, and what of the specification that was asked for waits for the next start."""

    number: int
    spec: MachineSpec
    waits: tuple[Wait, ...] = ()


class Listing(Value, frozen=True):
    """The runs of a host, those included that have ended and are not acknowledged.

    `complete`: a run that is not in it was not there at `number`. Else some could not be looked at.
    """

    host: HostId
    found: tuple[FactReport, ...]
    number: int
    complete: bool


class Traffic(Value, frozen=True):
    """Bytes as the guest counts them: what it received and what it sent."""

    received: int
    sent: int


class Usage(Value, frozen=True):
    """What one run has taken since its start: counters that only grow, but for `memory`, resident now.

    `cpu` in seconds, the rest in bytes. `net` counts the NICs that have links on the host; None: the run has none.
    `age` is how many seconds ago its process began.
    """

    cpu: float
    memory: int
    disk_read: int
    disk_written: int
    net: Traffic | None
    age: float = 0.0


class Machines(Protocol):
    """The lives of machines, of any host.

    Calls for one run come one at a time, except `facts` and a `stop` with NOW, which may come at any moment: the call
    that such a stop overtakes ends as refused or `NotRunning`. Calls for different runs may overlap freely.
    """

    async def start(self, who: Incarnation, spec: MachineSpec, *, deadline: float) -> int:
        """Start it and return when it runs (or, if `held`, is loaded). Idempotent for the same epoch."""

    async def pause(self, who: Incarnation, *, deadline: float) -> int:
        """Halt its CPUs; done already is success."""

    async def resume(self, who: Incarnation, *, deadline: float) -> int:
        """Let its CPUs run (again); done already is success."""

    async def reset(self, who: Incarnation, *, deadline: float) -> int:
        """Have it boot again at once, in the same run: its guest is not asked, and its devices stay.

        One that runs goes on running; any other is HELD before its first instruction, whatever it stood still for.
        """

    async def alter(self, who: Incarnation, spec: MachineSpec, *, deadline: float) -> Altered:
        """Make this run be of that specification, as far as that can be while it runs; done already is success.

        What is taken out that the guest does not let go of in a moment stays, and waits; when the guest lets go of it,
        news say so with `devices`. After `Unknown`, and after a server that was killed meanwhile, it is asked again.
        A disk is told by its medium and its bus, whatever its place.
        """

    async def resize(self, who: Incarnation, media: MediaRef, size: int, *, deadline: float) -> int:
        """Let a disk that it has, and may write to, be of so many bytes; done already is success.

        Refused where it has no such disk or only reads it, and where the disk is larger: it never shrinks.
        """

    async def stop(self, who: Incarnation, how: Stop, *, deadline: float) -> int:
        """Press its power button, or end it now. Already gone is success; after NOW, this epoch is never started."""

    async def facts(self, who: Incarnation, *, deadline: float) -> FactReport:
        """What it does now; its end, until that is acknowledged; or ABSENT, and then this epoch is never started.

        Raises `Unknown`, also while its start is under way.
        """

    async def adopt(self, host: HostId, *, deadline: float) -> Listing:
        """The facts of every run there, after a start of the server or a lost connection.

        A run that does not answer in time, or is just being started, is SILENT; what is not there then does not begin
        by a start that was asked for before. Raises `Unknown`.
        """

    async def acknowledge(self, who: Incarnation, *, deadline: float) -> None:
        """Its end is written down: nothing reports it any more. The start of a higher epoch does the same."""

    def news(self, host: HostId) -> AsyncIterator[FactReport]:
        """Every change of every run there, asked for or not, with numbers that only grow. One reader a host.

        Raises `Unknown` when the host is lost. What happens before somebody reads again is found by `adopt`; the
        numbers may begin anew then.
        """

    async def forget(self, host: HostId, machine: UUID, *, deadline: float) -> None:
        """Remove what is kept for a machine that is no more: its firmware variables and logs."""

    async def close(self) -> None:
        """Stop watching. Machines go on."""


class ByteStream(Protocol):
    """Raw bytes both ways."""

    async def read(self) -> bytes:
        """The next bytes; empty when the other side has ended."""

    async def write(self, data: bytes) -> None: ...

    async def close(self) -> None: ...


class SerialConsole(Value, frozen=True):
    """The serial console."""


class DisplayConsole(Value, frozen=True):
    """The display at this place in the specification, as an RFB stream."""

    index: int


class Consoles(Protocol):
    """The consoles of machines. Any number of serial streams may be open at once; the port is drained without them."""

    async def open(self, who: Incarnation, which: SerialConsole | DisplayConsole, *, deadline: float) -> ByteStream:
        """Open it. Serial begins with the last of what was said in this run, without its questions to a terminal.

        Raises `NotRunning`.
        """

    async def type_in(self, who: Incarnation, data: bytes, *, deadline: float) -> int:
        """Type on the serial port: how many bytes were taken, which the guest gets in this order, wherever it goes.

        Fewer than all where the guest does not read, or stands still between two hosts, for half of the deadline.
        Raises `NotRunning`: none was.
        """

    async def said(self, host: HostId, machine: UUID, most: int, *, deadline: float) -> bytes:
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


class Guests(Protocol):
    """The agents in guests, which are the guests' own: QEMU's guest agent, or what poses as one."""

    async def ask(self, who: Incarnation, command: str, arguments: bytes, *, deadline: float) -> bytes:
        """One command, with its arguments as a JSON object; the JSON that it returns, which is untrusted.

        Of a text in base64, no more than `MOST_ENCODED` bytes come. Commands of one run are sent one at a time.
        Raises `NoAgent` and `NotRunning`: it was not sent; `Unknown`: it may still happen; `HypervisorError`: the
        agent has refused, in its own words.
        """


class Hosts(Protocol):
    """What is known of a host without asking a machine."""

    def about(self, host: HostId) -> HostFacts:
        """As it was known last."""

    async def now(self, host: HostId, *, deadline: float) -> HostNow: ...

    async def memory_free(self, host: HostId, *, deadline: float) -> int:
        """MiB that a machine could have now."""

    async def kept(self, host: HostId, *, deadline: float) -> Collection[UUID]:
        """The machines that do not run there and for which something is kept that `Machines.forget` removes."""

    async def neighbours(self, host: HostId, *, deadline: float) -> Collection[NicAddress]:
        """The addresses of BRIDGE NICs of machines that run there, as far as the host has heard them (ARP, NDP)."""

    async def confinement(self, who: Incarnation, *, deadline: float) -> Confinement | None:
        """What holds of its process now; None when it does not run."""

    async def command(self, who: Incarnation, *, deadline: float) -> Sequence[str] | None:
        """The command that it runs with, read back from the process; None when it does not run.

        No path of a medium is in it, and those of the host's own directories are shortened to DATA/... and RUN/...
        """


class Hypervisor(Protocol):
    """Everything that one host offers, by what it is about. Whoever needs one of these gets that one."""

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
