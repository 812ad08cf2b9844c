"""What guests feel: how soon the firmware speaks, its loader starts and the guest is ready; memory that comes back.

Velocity's VMs are started over HTTP, each a new one, and again for its second boot. Beside them QEMU by hand, with the
same devices and with the least that boots, and the command lines that others' defaults make.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol
from uuid import UUID

from tests.journeys.server import Server, Terminal

from bench.harness import Bench, memory_mib
from bench.overhead import CACHE, guests_own
from bench.peers.guests import ByHand, Made, Place, incus, minimal, proxmox, virt_manager
from bench.peers.raw import CODE, KVM, QEMU, accelerator, machine_alone
from velocity.cli.demo.guest import READY, build
from velocity.hypervisor.port import Bus, DiskSpec, DisplaySpec, MachineSpec
from velocity.hypervisor.qemu import firmware, first_boot
from velocity.hypervisor.qemu.command import Files, LaunchSpec, ListeningSockets, NatDevice, TapDevice
from velocity.hypervisor.qemu.hardware import PROFILES
from velocity.storage.port import MediaRef

ROUNDS = int(os.environ.get("VELOCITY_BENCH_ROUNDS", "3"))
MEMORY_ROUNDS = max(1, ROUNDS - 1)
SECONDS = 1800.0
BOOT = 600.0
"""Seconds that a guest may take to be ready."""
LOADER = b"BdsDxe: starting"
MAC = "52:54:00:00:00:01"
OURS, SAME, LEAST = "Velocity", "raw QEMU, the same devices", "raw QEMU, minimal"
SPARED = f"{SAME}, variables that were booted once"
PEERS = {"Proxmox VE's defaults": proxmox, "Incus' defaults": incus, "virt-manager's defaults": virt_manager}
BOOTED = 256
TAKEN = 1000
"""MiB that are taken and freed, in a guest with twice as much and more."""
WITHIN = 10.0
"""Seconds after which one looks how much is back."""
IDLE = 3.0


class Running(Protocol):
    """A guest that runs. `begun`: when it was asked for."""

    begun: float
    pid: int

    def read(self, seconds: float) -> bytes: ...

    def run(self, command: str, seconds: float = 300) -> object: ...


class Ours:
    """A VM of the server's that runs, with its console."""

    def __init__(self, server: Server, vmid: int) -> None:
        before = set(server.processes())
        self.begun = time.perf_counter()
        server.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        self._terminal: Terminal = server.console(vmid)
        (self.pid,) = set(server.processes()) - before

    def read(self, seconds: float) -> bytes:
        try:
            said = self._terminal.socket.recv(seconds)
        except TimeoutError:
            return b""
        assert isinstance(said, bytes)
        return said

    def run(self, command: str, seconds: float = 300) -> object:
        return self._terminal.run(command, seconds)

    def close(self) -> None:
        self._terminal.close()


class Subject:
    """The server with the guest's medium, and new VMs of it."""

    def __init__(self, server: Server, iso: bytes) -> None:
        self._server = server
        self._mid = server.upload("guest.iso", iso)
        self._numbers = itertools.count()

    def vm(self, memory: int, **more: object) -> int:
        made = self._server.ok(
            "PUT", "/v/vm/efi", name=f"guest {next(self._numbers)}", gid=0, cpus=1, memory_mib=memory,
            displays=[{"name": "a", "width": 1280, "height": 720}], media=[{"mid": self._mid, "mode": "VIRTIO"}],
            nics=[{"type": "NAT"}], **more,
        )  # fmt: skip
        return int(made["vmid"])

    @contextmanager
    def running(self, vmid: int) -> Iterator[Ours]:
        guest = Ours(self._server, vmid)
        try:
            yield guest
        finally:
            guest.close()
            self._server.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)


def same(place: Place, *, balloon: bool = True) -> list[str]:
    """By hand what Velocity makes of such a VM, without what confines and controls it."""
    return same_devices(place, balloon=balloon)


def same_devices(
    place: Place, disks: Sequence[DiskSpec] = (), opened: Sequence[int] = (), *, displays: int = 1,
    nics: Sequence[NatDevice | TapDevice] = (NatDevice(1, MAC),), balloon: bool = True,
) -> list[str]:  # fmt: skip
    """The same with further disks, whose files are open, and with other NICs."""
    iso, variables, code = (
        os.open(path, flags)
        for path, flags in ((place.iso, os.O_RDONLY), (place.variables, os.O_RDWR), (CODE, os.O_RDONLY))
    )
    place.fds.extend((iso, variables, code))
    cd = DiskSpec(MediaRef(1, UUID(int=1), "raw"), Bus.VIRTIO, readonly=True, cdrom=True)
    spec = MachineSpec(
        "same", 1, place.memory, "q35", "", disks=(cd, *disks), displays=(DisplaySpec("a", 1280, 720),) * displays,
        hardware=PROFILES[-1].name, cpu="best", balloon=balloon,
    )  # fmt: skip
    plan = LaunchSpec(
        "", UUID(int=1), 1, accelerator(place.memory), spec,
        Files(code=code, variables=variables, disks=[iso, *opened]), ListeningSockets(0), nics,
        str(place.variables.parent),
    )  # fmt: skip
    return machine_alone(plan)


def without_balloon(place: Place) -> list[str]:
    return same(place, balloon=False)


def boot(guest: Running) -> dict[str, float]:
    """Seconds from the request until the firmware has spoken, its loader has started, and the guest is ready."""
    said, times, end = b"", dict[str, float](), time.monotonic() + BOOT
    while READY not in said:
        if time.monotonic() > end:
            raise TimeoutError(said[-500:])
        said += guest.read(1)
        now = time.perf_counter() - guest.begun
        for what, marker in (("first byte", b""), ("loader", LOADER), ("ready", READY)):
            if said and marker in said:
                times.setdefault(what, now)
    return times


def note(bench: Bench, which: str, who: str, times: dict[str, float]) -> None:
    for what, seconds in times.items():
        bench.add(f"{which}, {what}: {who}", "s", seconds)


def idle(bench: Bench, who: str, guest: Running) -> None:
    """What its process has beside the guest's memory that is there."""
    time.sleep(IDLE)
    bench.add(
        f"idle, beside the guest's memory: {who}", "MiB", memory_mib(guest.pid, "Rss") - guests_own(guest.pid, BOOTED)
    )


def boots(bench: Bench, subject: Subject, iso: Path, spared: Path) -> None:
    """`spared`: the variables that Velocity's VMs begin with."""

    def ours() -> None:
        vmid = subject.vm(BOOTED)
        with subject.running(vmid) as guest:
            note(bench, "first boot", OURS, boot(guest))
            idle(bench, OURS, guest)
        with subject.running(vmid) as guest:
            note(bench, "second boot", OURS, boot(guest))

    def by_hand(who: str, made: Made, *, twice: bool = False, variables: Path | None = None) -> None:
        with ByHand(made, iso, BOOTED, variables) as guest:
            note(bench, "first boot", who, boot(guest))
            idle(bench, who, guest)
            guest.end()
            if twice:
                with ByHand(made, iso, BOOTED, guest.variables) as again:
                    note(bench, "second boot", who, boot(again))

    turns = [ours, lambda: by_hand(SAME, same, twice=True), lambda: by_hand(LEAST, minimal, twice=True)]
    turns.append(lambda: by_hand(SPARED, same, variables=spared))
    turns += [lambda who=who, made=made: by_hand(who, made) for who, made in PEERS.items()]  # type: ignore[misc]
    bench.rounds(ROUNDS, turns, warm=0, seconds=SECONDS)


def memory(bench: Bench, subject: Subject, iso: Path) -> None:
    """Memory that is taken, freed, and taken again."""

    def measure(who: str, guest: Running) -> None:
        boot(guest)
        guest.run(f"mkdir /all; mount -t tmpfs -o size={TAKEN + 100}m all /all")
        take = f"dd if=/dev/zero of=/all/taken bs=1M count={TAKEN} 2>/dev/null"
        begun = time.perf_counter()
        guest.run(take)
        bench.add(f"{TAKEN:,} MiB taken: {who}", "s", time.perf_counter() - begun)
        taken = memory_mib(guest.pid, "Rss")
        guest.run("rm /all/taken")
        time.sleep(WITHIN)
        bench.add(f"back of {TAKEN:,} MiB after {WITHIN:.0f} s: {who}", "MiB", taken - memory_mib(guest.pid, "Rss"))
        begun = time.perf_counter()
        guest.run(take)
        bench.add(f"{TAKEN:,} MiB taken again: {who}", "s", time.perf_counter() - begun)

    def ours(who: str, **more: object) -> None:
        with subject.running(subject.vm(2 * TAKEN + 48, **more)) as guest:
            measure(who, guest)

    def by_hand(who: str, made: Made) -> None:
        with ByHand(made, iso, 2 * TAKEN + 48) as guest:
            measure(who, guest)

    turns = [
        lambda: ours(OURS),
        lambda: ours(f"{OURS}, without the balloon", balloon=False),
        lambda: by_hand(SAME, same),
        *(lambda who=who, made=made: by_hand(who, made) for who, made in PEERS.items()),
    ]
    bench.rounds(MEMORY_ROUNDS, turns, warm=0, seconds=SECONDS)


def goals(bench: Bench) -> None:
    for what in ("first byte", "loader", "ready"):
        bench.goal(f"first boot, {what}: {SPARED}", f"first boot, {what}: {SAME}", factor=1)
    for which, what in itertools.product(("first boot", "second boot"), ("first byte", "loader", "ready")):
        bench.goal(f"{which}, {what}: {OURS}", f"{which}, {what}: {SAME}", factor=1 / 0.98)
    bench.goal(f"first boot, ready: {OURS}", f"first boot, ready: {LEAST}", factor=1)
    for who in PEERS:
        bench.goal(f"first boot, ready: {OURS}", f"first boot, ready: {who}", factor=1)
    most = 60.0 if KVM else 125.0
    bound = f"bound: {most:.0f} MiB"
    bench.add(bound, "MiB", most)
    bench.goal(f"idle, beside the guest's memory: {OURS}", bound, factor=1)
    back = f"back of {TAKEN:,} MiB after {WITHIN:.0f} s"
    bench.goal(f"{back}: {OURS}", f"{back}: {SAME}", factor=0.98, least=True)


def main() -> None:
    bench = Bench("guests", "what guests feel: boots, and memory that comes back")
    built = build(CACHE)
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="velocity-bench-")))
        runs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="velocity-runs-")))
        place.chmod(0o711)
        runs.chmod(0o711)
        image = firmware.keep(firmware.find(), place / "data" / "firmware")
        asyncio.run(first_boot.make(QEMU, image, None, behind=False))  # as it is a minute after a server's first start
        server = Server(place / "data", runtime_dir=str(runs))
        stack.callback(server.close)
        server.start()
        subject = Subject(server, built.iso.read_bytes())
        boots(bench, subject, built.iso, image.booted)
        memory(bench, subject, built.iso)
    bench.notes.append(f"by {'KVM' if KVM else 'software emulation'}; the network is QEMU's own for all of them")
    goals(bench)
    bench.finish()


if __name__ == "__main__":
    main()
