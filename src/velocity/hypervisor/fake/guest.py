"""The machines of the hypervisor in memory: what one does, says and shows."""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass, field
from uuid import UUID

from PIL import Image, ImageDraw, ImageFont

from velocity.hypervisor.fake.live import FakeDevices
from velocity.hypervisor.port import (
    Confinement,
    DisplayConsole,
    Fact,
    FactCause,
    Incarnation,
    MachineSpec,
    SerialConsole,
    Usage,
)
from velocity.storage.port import MediaRef

HOLDS = 64 << 10
"""Bytes that are kept for a guest that does not read."""
NOTHING = Usage(cpu=0.0, memory=32 << 20, disk_read=0, disk_written=0, net=None)


UNCONFINED = Confinement(
    uid=0,
    own_uid=False,
    groups=(),
    bounding_set="0" * 16,
    no_new_privileges=True,
    seccomp=True,
    namespaces=(),
    sees_host_files=True,
    oom_score_adj=0,
    memory_limit=None,
    thread_limit=None,
    cpu_weight=None,
    core_dumps=False,
    nat_reaches_loopback=False,
    unfiltered_nics=(),
    gaps=("nothing is executed here, so nothing is confined",),
)


@dataclass(eq=False)
class Copying:
    """A disk that is being copied."""

    source: MediaRef
    target: MediaRef
    held: bool = False


@dataclass
class FakeRun:
    """One machine in memory, `begun` as that. `deaf` guests do not hear the power button; `usage` None: its monitor
    hangs. Guests that do not read what is typed leave it `unread`, and others say it.
    """

    who: Incarnation
    spec: MachineSpec
    fact: Fact
    why: FactCause = FactCause.ASKED
    deaf: bool = False
    presses: int = 0
    resets: int = 0
    moving: bool = False
    handing_over: bool = False
    streams: list[FakeStream] = field(default_factory=list)
    said: bytearray = field(default_factory=bytearray)
    reads: bool = True
    unread: bytearray = field(default_factory=bytearray)
    usage: Usage | None = NOTHING
    mirrors: dict[UUID, Copying] = field(default_factory=dict)
    devices: FakeDevices = field(init=False)
    begun: MachineSpec = field(init=False)

    def __post_init__(self) -> None:
        self.begun = self.spec
        self.devices = FakeDevices(self.spec)

    def type_in(self, data: bytes) -> int:
        """How much of it is taken."""
        if self.reads:
            self.say(data)
            return len(data)
        taken = data[: HOLDS - len(self.unread)]
        self.unread += taken
        return len(taken)

    def read(self) -> None:
        """From here on the guest reads."""
        self.reads = True
        self.say(bytes(self.unread))
        self.unread.clear()

    def say(self, data: bytes) -> None:
        """The guest says something on its serial console."""
        self.said += data
        for stream in self.streams:
            if stream.which == SerialConsole():
                stream.feed(data)

    def finish(self) -> None:
        """The guest says nothing more here."""
        for stream in self.streams:
            if stream.which == SerialConsole():
                stream.end()


class FakeStream:
    """A console that answers each write with the same bytes: a serial one to everybody who listens."""

    def __init__(self, run: FakeRun, which: SerialConsole | DisplayConsole) -> None:
        self.which = which
        self._run = run
        self._bytes: asyncio.Queue[bytes] = asyncio.Queue()

    async def read(self) -> bytes:
        return await self._bytes.get()

    async def write(self, data: bytes) -> None:
        if isinstance(self.which, SerialConsole):
            self._run.type_in(data)
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


def painted(words: str, width: int, height: int) -> bytes:
    """White words on black, as a text console has them."""
    picture = Image.new("RGB", (width, height))
    ImageDraw.Draw(picture).text((24, 24), words, font=ImageFont.load_default(32), fill="white")
    out = io.BytesIO()
    picture.save(out, "PPM")
    return out.getvalue()
