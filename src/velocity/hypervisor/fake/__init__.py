"""A hypervisor in memory. It keeps the law of the port, and lets a test play the guest."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from PIL import Image, ImageDraw, ImageFont

from velocity.hypervisor.port import (
    ByteStream,
    Changed,
    Confinement,
    Fact,
    Found,
    HostFacts,
    HostId,
    HostNow,
    HypervisorError,
    Incarnation,
    MachineSpec,
    News,
    NotRunning,
    Screen,
    Serial,
    Stop,
    Unknown,
    Usage,
    Why,
)

FACTS = HostFacts(
    accelerator="fake",
    accelerator_reason="nothing is executed",
    hypervisor="fake 1.0",
    machine_type="fake-1.0",
    firmware="0123456789abcdef",
    max_cpus=8,
    memory=4096,
)


NOTHING = Usage(cpu=0.0, memory=32 << 20, disk_read=0, disk_written=0, net=None)


@dataclass
class Run:
    """One machine in memory. `deaf` guests do not hear the power button; `usage` None: its monitor hangs."""

    who: Incarnation
    spec: MachineSpec
    fact: Fact
    why: Why = Why.ASKED
    deaf: bool = False
    presses: int = 0
    streams: list[FakeStream] = field(default_factory=list)
    said: bytearray = field(default_factory=bytearray)
    usage: Usage | None = NOTHING

    def say(self, data: bytes) -> None:
        """The guest says something on its serial console."""
        self.said += data
        for stream in self.streams:
            if stream.which == Serial():
                stream.feed(data)


class FakeHypervisor:
    """Keeps `velocity.hypervisor.port.Hypervisor`. Machines outlive `close` in `runs`, as processes do.

    What a test may set: `refuse` (the words with which the next start or picture fails), `hold` (an event that starts
    and pictures wait for), `deaf` (whether new guests hear the power button), `free` (MiB), `shows` (what stands on a
    display: without it, the machine's name and the display's).
    """

    def __init__(self, host_facts: HostFacts = FACTS) -> None:
        self.host_facts = host_facts
        self.runs: dict[UUID, Run] = {}
        self.started: list[Incarnation] = []
        self.forgotten: list[UUID] = []
        self.keeps: set[UUID] = set()
        self.refuse: str | None = None
        self.hold: asyncio.Event | None = None
        self.deaf = False
        self.free = host_facts.memory
        self.shows: dict[tuple[UUID, int], str] = {}
        self.shots: list[tuple[Incarnation, int]] = []
        self._logs: dict[UUID, bytes] = {}
        self._epochs: dict[UUID, int] = {}
        self._unseen: list[Found] = []
        self._news: asyncio.Queue[News] = asyncio.Queue()

    # Machines

    async def start(self, who: Incarnation, spec: MachineSpec, *, deadline: float) -> None:
        last = self._epochs.get(who.machine, 0)
        if who.epoch < last:
            raise HypervisorError(f"epoch {who.epoch} is older than {last}")
        if who.epoch == last and who.machine in self.runs:
            return
        await self._hindrance()
        self._epochs[who.machine] = who.epoch
        self.keeps.add(who.machine)
        self.started.append(who)
        self.runs[who.machine] = Run(who, spec, Fact.HELD if spec.held else Fact.RUNNING, deaf=self.deaf)

    async def pause(self, who: Incarnation, *, deadline: float) -> None:
        run = self._run(who)
        run.fact = Fact.HELD if run.fact is Fact.HELD else Fact.PAUSED

    async def resume(self, who: Incarnation, *, deadline: float) -> None:
        self._run(who).fact = Fact.RUNNING

    async def stop(self, who: Incarnation, how: Stop, *, deadline: float) -> None:
        run = self.runs.get(who.machine)
        if run is None or run.who != who:
            return
        if how is Stop.NOW:
            self._remove(run)
            return
        run.presses += 1
        if not run.deaf and run.fact is Fact.RUNNING:
            self._remove(run)
            self._news.put_nowait(Changed(who, Fact.ENDED, Why.GUEST_SHUTDOWN))

    async def adopt(self, host: HostId) -> Sequence[Found]:
        unseen, self._unseen = self._unseen, []
        running = [Changed(run.who, run.fact, run.why) for run in self.runs.values() if run.who.host == host]
        return [*unseen, *running]

    async def news(self) -> AsyncIterator[News]:
        while True:
            yield await self._news.get()

    async def forget(self, machine: UUID) -> None:
        self.forgotten.append(machine)
        self._logs.pop(machine, None)
        self.keeps.discard(machine)

    async def close(self) -> None:
        self._news = asyncio.Queue()

    # Consoles and hosts

    async def open(self, who: Incarnation, which: Serial | Screen) -> ByteStream:
        run = self._run(who)
        stream = FakeStream(run, which)
        if isinstance(which, Serial):
            stream.feed(bytes(run.said))
        run.streams.append(stream)
        return stream

    async def said(self, machine: UUID, most: int) -> bytes:
        run = self.runs.get(machine)
        return (self._logs.get(machine, b"") + (run.said if run else b""))[-most:]

    async def shot(self, who: Incarnation, index: int, *, deadline: float) -> bytes:
        self.shots.append((who, index))
        await self._hindrance()
        display = self._run(who).spec.displays[index]
        words = self.shows.get((who.machine, index), f"{self._run(who).spec.name} {display.name}")
        return _painted(words, display.width, display.height)

    def facts(self, host: HostId) -> HostFacts:
        return self.host_facts

    async def memory_free(self, host: HostId) -> int:
        return self.free

    async def kept(self, host: HostId) -> Collection[UUID]:
        return self.keeps - self.runs.keys()

    async def confinement(self, who: Incarnation) -> Confinement | None:
        if who.machine not in self.runs:
            return None
        return Confinement(
            uid=0,
            own_uid=False,
            groups=(),
            bounding_set="0" * 16,
            no_new_privileges=True,
            seccomp=True,
            nat_reaches_loopback=False,
            gaps=("nothing is executed here, so nothing is confined",),
        )

    async def command(self, who: Incarnation) -> Sequence[str] | None:
        run = self.runs.get(who.machine)
        return None if run is None or run.who != who else ["fake", "-uuid", str(who.machine), "-pidfile", "RUN/pid"]

    async def now(self, host: HostId) -> HostNow:
        facts = self.host_facts
        return HostNow("fake", facts.max_cpus, (0.5, 0.25, 0.125), facts.memory, self.free, 86_400)

    async def measure(self, who: Incarnation, *, deadline: float) -> Usage:
        run = self._run(who)
        if run.usage is None:
            raise Unknown("its monitor does not answer")
        return run.usage

    # What a test plays

    def play(self, machine: UUID, fact: Fact, why: Why, *, seen: bool = True) -> None:
        """The guest does something by itself; `seen=False`: while no server watches."""
        run = self.runs[machine]
        if fact is Fact.ENDED:
            self._remove(run)
        else:
            run.fact, run.why = fact, why
        if seen:
            self._news.put_nowait(Changed(run.who, fact, why))
        elif fact is Fact.ENDED:
            self._unseen.append(Changed(run.who, fact, why))

    async def _hindrance(self) -> None:
        if self.hold is not None:
            await self.hold.wait()
        if self.refuse is not None:
            words, self.refuse = self.refuse, None
            raise HypervisorError(words)

    def _run(self, who: Incarnation) -> Run:
        run = self.runs.get(who.machine)
        if run is None or run.who != who:
            raise NotRunning("this run has ended")
        return run

    def _remove(self, run: Run) -> None:
        del self.runs[run.who.machine]
        self._logs[run.who.machine] = self._logs.get(run.who.machine, b"") + run.said
        for stream in run.streams:
            stream.end()


class FakeStream:
    """A console that answers each write with the same bytes: a serial one to everybody who listens."""

    def __init__(self, run: Run, which: Serial | Screen) -> None:
        self.which = which
        self._run = run
        self._bytes: asyncio.Queue[bytes] = asyncio.Queue()

    async def read(self) -> bytes:
        return await self._bytes.get()

    async def write(self, data: bytes) -> None:
        if isinstance(self.which, Serial):
            self._run.say(data)
        else:
            self.feed(data)

    def feed(self, data: bytes) -> None:
        if data:
            self._bytes.put_nowait(data)

    async def close(self) -> None:
        if self in self._run.streams:
            self._run.streams.remove(self)
        self.end()

    def end(self) -> None:
        self._bytes.put_nowait(b"")


def _painted(words: str, width: int, height: int) -> bytes:
    """White words on black, as a text console has them."""
    picture = Image.new("RGB", (width, height))
    ImageDraw.Draw(picture).text((24, 24), words, font=ImageFont.load_default(32), fill="white")
    out = io.BytesIO()
    picture.save(out, "PPM")
    return out.getvalue()
