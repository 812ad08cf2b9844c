"""A real guest goes to another host and back while it computes and writes, with its disk, variables and devices."""

from __future__ import annotations

import asyncio
import hashlib
import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from tests.patience import BOOT, PATIENCE, eventually
from tests.ports.pairs import Pair, opened
from tests.ports.subjects import DEADLINE, HOST, QemuSubject, machine, next_run, spec
from velocity.cli.demo.guest import READY, Guest
from velocity.hypervisor.port import (
    Bus,
    ByteStream,
    Copied,
    DiskSpec,
    Fact,
    HypervisorError,
    Incarnation,
    MachineSpec,
    MovePhase,
    NatSpec,
    SerialConsole,
    Stop,
)
from velocity.storage.directory.places import file_name, host_places
from velocity.storage.port import MediaRef, variables

pytestmark = [pytest.mark.anyio, pytest.mark.guest]

ISO = msgspec.structs.replace(variables(uuid4()), format="raw")
DISK, PLUGGED = variables(uuid4()), variables(uuid4())
TICKS = "(while :; do read up rest </proc/uptime; echo tick $up; sleep 0.02; done) &"
WRITES = (
    "(n=0; while [ ! -e /tmp/halt ]; do n=$((n+1)); dd if=/dev/urandom of=/dev/vda bs=4k count=4 "
    "seek=$((n*37%2000)) oflag=direct conv=notrunc 2>/dev/null; done) &"
)
SUM = "dd if=/dev/vda bs=1M 2>/dev/null | sha256sum | cut -d' ' -f1"
DEVICES = "ls /sys/bus/pci/devices /sys/bus/usb/devices; cat /sys/class/net/*/address"


class Terminal:
    """Its serial console, and how many ticks came."""

    def __init__(self, stream: ByteStream, said: bytes = b"") -> None:
        self._stream = stream
        self.said = said
        self.ticks = 0
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while data := await self._stream.read():
            self.said += data
            self.ticks += data.count(b"tick")

    async def until(self, pattern: bytes, begin: int = 0, seconds: float = PATIENCE) -> re.Match[bytes]:
        async with asyncio.timeout(seconds):
            while (found := re.compile(pattern, re.S).search(self.said, begin)) is None:
                await asyncio.sleep(0.01)
        return found

    async def run(self, command: str) -> str:
        """What it says, without ticks and the command itself."""
        begin, mark = len(self.said), f"{time.monotonic_ns()}"
        await self._stream.write(f"echo beg''in{mark}; {command}; echo en''d{mark}\n".encode())
        found = await self.until(f"begin{mark}(.*?)end{mark}".encode(), begin)
        return re.sub(r"tick [\d.]+\r?\n", "", found[1].decode()).strip()

    async def more_ticks(self) -> None:
        enough = self.ticks + 5
        await eventually(lambda: self.ticks >= enough)

    async def close(self) -> None:
        self._task.cancel()
        await self._stream.close()


def provide(host: QemuSubject, guest: Guest) -> None:
    media = host.driver.watched.place.media
    with guest.iso.open("rb") as iso:
        media.provide(ISO, iso.fileno())
    blank = host.options.data_dir / "blank"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(blank), "16M"], check=True)
    for ref in (DISK, PLUGGED):
        with blank.open("rb") as image:
            media.provide(ref, image.fileno())


def machine_of(host: QemuSubject) -> MachineSpec:
    disks = (DiskSpec(ISO, Bus.VIRTIO, readonly=True, cdrom=True), DiskSpec(DISK, Bus.BLOCK, False, False))
    nics = (NatSpec(1, "52:54:00:00:00:01"),)
    return msgspec.structs.replace(spec(host.hypervisor), memory=256, disks=disks, nics=nics)


def content(host: QemuSubject, ref: MediaRef, scratch: Path) -> str:
    """The sum of what is in it, whatever its format."""
    file = host_places(host.options.data_dir).kept(file_name(ref))
    subprocess.run(["qemu-img", "convert", "-U", "-O", "raw", str(file), str(scratch)], check=True)
    return hashlib.sha256(scratch.read_bytes()).hexdigest()


async def terminal_of(host: QemuSubject, who: Incarnation) -> Terminal:
    return Terminal(await host.hypervisor.consoles.open(who, SerialConsole(), deadline=DEADLINE))


async def received(
    pair: Pair, source: QemuSubject, target: QemuSubject, who: Incarnation, epoch: int, refs: Sequence[MediaRef]
) -> Incarnation:
    """It runs on the target, and has ended on the source."""
    made = source.driver.watched.running(who).run.made
    assert made is not None
    arriving = msgspec.structs.replace(who, epoch=epoch)
    places = await source.hypervisor.mobility.places(who, deadline=DEADLINE)
    copied = [Copied(one, one) for one in refs]
    landing = await target.hypervisor.mobility.receive(arriving, made, places, copied, deadline=DEADLINE)
    landing = await pair.link.through(landing)
    async for one in source.hypervisor.mobility.send(who, landing, copied, deadline=PATIENCE):
        pair.link.note(one.phase)
    last = await source.hypervisor.mobility.last(who, deadline=DEADLINE)
    await target.hypervisor.mobility.take(arriving, last.said, last.typed, deadline=DEADLINE)
    await source.hypervisor.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    await source.hypervisor.machines.acknowledge(who, deadline=DEADLINE)
    return arriving


async def break_off(pair: Pair, a: QemuSubject, b: QemuSubject, who: Incarnation) -> None:
    """The target is killed in the moment in which the guest stands still."""
    pair.link.stall_in(MovePhase.HANDING_OVER)
    breaking = asyncio.create_task(received(pair, a, b, who, 2, [DISK]))
    await pair.link.stalled()
    b.kill(next_run(who))
    pair.link.go_on()
    with pytest.raises(HypervisorError):
        await breaking
    await b.hypervisor.mobility.release(next_run(who), deadline=DEADLINE)


async def check_disks(a: QemuSubject, b: QemuSubject, who: Incarnation, inside: str, scratch: Path) -> None:
    """What lies on b is what the guest reads, and its variables are those that it had on a."""
    await b.hypervisor.machines.pause(who, deadline=DEADLINE)
    assert content(b, DISK, scratch) == inside
    ours = variables(who.machine)
    assert content(b, ours, scratch) == content(a, ours, scratch)
    await b.hypervisor.machines.resume(who, deadline=DEADLINE)


async def plug(host: QemuSubject, who: Incarnation, terminal: Terminal) -> None:
    """One more disk, which the guest writes to."""
    made = host.driver.watched.running(who).run.made
    assert made is not None
    disks = (*made.disks, DiskSpec(PLUGGED, Bus.BLOCK, readonly=False, cdrom=False))
    wanted = msgspec.structs.replace(made, disks=disks)
    altered = await host.hypervisor.machines.alter(who, wanted, deadline=DEADLINE)
    assert (altered.spec, altered.waits) == (wanted, ())
    await terminal.run("while [ ! -e /dev/vdb ]; do sleep 0.1; done; echo plugged | dd of=/dev/vdb conv=sync")


async def settled(terminal: Terminal) -> str:
    """Its devices, once two looks see the same: USB devices come some time after the rest."""
    seen = ""
    async with asyncio.timeout(PATIENCE):
        while (now := await terminal.run(DEVICES)) != seen:
            seen = now
            await asyncio.sleep(1)
    return seen


@pytest.mark.holds("MANY-70")
async def test_a_guest_goes_to_another_host_and_back_with_all_that_it_has(
    guest: Guest, tmp_path: Path, runtime: Path
) -> None:
    async with opened("qemu", tmp_path, runtime) as pair:
        a, b = pair.source, pair.target
        assert isinstance(a, QemuSubject) and isinstance(b, QemuSubject)
        provide(a, guest)
        provide(b, guest)
        who = machine()
        await a.hypervisor.machines.start(who, machine_of(a), deadline=DEADLINE)
        first = await terminal_of(a, who)
        await first.until(READY, seconds=BOOT)
        devices = await settled(first)
        await first.run(f"dd if=/dev/urandom of=/dev/vda bs=1M count=8 2>/dev/null; {TICKS} {WRITES} true")
        await break_off(pair, a, b, who)
        await first.more_ticks()
        there = await received(pair, a, b, who, 3, [DISK])
        second = await terminal_of(b, there)
        await second.more_ticks()
        await second.run("touch /tmp/halt; sleep 1; echo 3 >/proc/sys/vm/drop_caches")
        assert await settled(second) == devices
        inside = await second.run(SUM)
        await check_disks(a, b, there, inside, tmp_path / "raw")
        assert READY in await b.hypervisor.consoles.said(HOST, who.machine, 1 << 20, deadline=DEADLINE)
        await a.hypervisor.machines.forget(HOST, who.machine, deadline=DEADLINE)
        await plug(b, there, second)
        here = await received(pair, b, a, there, 4, [DISK, PLUGGED])
        third = await terminal_of(a, here)
        await third.more_ticks()
        assert "plugged" in await third.run("dd if=/dev/vdb bs=512 count=1 2>/dev/null")
        assert await third.run(SUM) == inside
        assert (await a.hypervisor.machines.facts(here, deadline=DEADLINE)).fact is Fact.RUNNING
        confinement = await a.hypervisor.hosts.confinement(here, deadline=DEADLINE)
        assert confinement is not None and confinement.own_uid and confinement.seccomp
        for terminal in (first, second, third):
            await terminal.close()
