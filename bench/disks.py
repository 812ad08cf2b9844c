"""A guest's disk: read from end to end, cold and from the host's page cache, at random, and written with flushes.

What is measured is done inside the guest, past its own cache, by a small program that comes to it on a second disk.
Velocity's two modes, each beside QEMU by hand with the same command line; what else there is, by hand; and the disks
that others' defaults make.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from tests.journeys.server import Server

from bench.files import fill
from bench.guests import Ours, boot, same_devices
from bench.harness import Absent, Bench
from bench.overhead import CACHE
from bench.peers.guests import ByHand, Made, Place, incus, proxmox, virt_manager
from bench.peers.raw import KVM
from velocity.cli.demo.guest import build
from velocity.hypervisor.port import Bus, DiskSpec
from velocity.storage.port import MediaRef

ROUNDS = int(os.environ.get("VELOCITY_BENCH_ROUNDS", "5"))
SECONDS = 900.0
SIZE, TOOL_SIZE = 256 << 20, 2 << 20
SOURCE = Path(__file__).parent / "peers" / "disk_io.c"
FIND = (
    "for b in /sys/block/[sv]d*; do case $(cat $b/size) in "
    f"{SIZE // 512}) d=/dev/${{b##*/}};; {TOOL_SIZE // 512}) cat /dev/${{b##*/}} >/io; chmod +x /io;; esac; done"
)
"""By their sizes: what the disks are called differs with their buses."""
ROWS = {
    "sequential, cold": ("sequential", "MiB/s"), "sequential, cached": ("sequential", "MiB/s"),
    "4 KiB reads": ("read", "/s"), "4 KiB writes": ("write", "/s"), "4 KiB writes, each synced": ("sync", "/s"),
}  # fmt: skip
OURS, BY_HAND = "Velocity", "by hand"
DIRECT = ",cache.direct=on,file.cache.direct=on,file.aio="


@dataclass(frozen=True)
class Files:
    """What a guest has: `disk` is written to, `tool` is only read."""

    disk: Path
    tool: Path


def tool(place: Path, source: Path = SOURCE) -> Path:
    """The program, as a disk. Raises `Absent`."""
    if shutil.which("gcc") is None:
        raise Absent("gcc is missing, which compiles the program that measures")
    file = place / "tool"
    subprocess.run(["gcc", "-O2", "-static", "-o", file, source], check=True)
    os.truncate(file, TOOL_SIZE)
    return file


def drop(file: Path) -> None:
    """Out of the host's page cache."""
    descriptor = os.open(file, os.O_RDWR)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def warm(file: Path) -> None:
    """Into it, whole."""
    with file.open("rb") as source:
        while source.read(1 << 20):
            pass


def measure(bench: Bench, who: str, guest: Ours | ByHand, disk: Path) -> None:
    for row, (what, unit) in ROWS.items():
        (drop if row.endswith("cold") else warm)(disk)
        said = str(guest.run(f"/io $d {what}"))
        found = re.search(r"RESULT ([\d.]+)", said)
        if found is None:
            raise RuntimeError(f"{who}, {row}: {said[-300:]}")
        bench.add(f"{row}: {who}", unit, float(found[1]))


class Guests:
    """All of them run at the same time, each with a disk of its own, and wait for their turns."""

    def __init__(self, stack: ExitStack, place: Path) -> None:
        self._stack = stack
        self._place = place
        self._tool = tool(place)
        self.iso = build(CACHE).iso
        self.running: dict[str, tuple[Ours | ByHand, Path]] = {}

    def by_hand(self, who: str, made: Callable[[Files], Made]) -> None:
        files = Files(self._place / who, self._tool)
        fill(files.disk, SIZE)
        self.running[who] = self._stack.enter_context(ByHand(made(files), self.iso, 256)), files.disk

    def ours(self, server: Server, cache: str, iso: str, io: str) -> None:
        who = f"{OURS}, {cache}"
        mid = server.ok("PUT", "/m/media/create", mpid=1, gid=0, name=who, size=SIZE)["mid"]
        (disk,) = (self._place / "data" / "media").glob(f"{mid}*")
        with disk.open("r+b") as file:
            file.write(os.urandom(SIZE))
        media = [
            {"mid": iso, "mode": "VIRTIO", "readonly": True}, {"mid": mid, "mode": "BLOCK", "cache": cache},
            {"mid": io, "mode": "BLOCK", "readonly": True},
        ]  # fmt: skip
        vmid = int(server.ok("PUT", "/v/vm/efi", name=who, gid=0, cpus=1, memory_mib=256, media=media)["vmid"])
        self.running[who] = Ours(server, vmid), disk

    def ready(self) -> None:
        for guest, _ in self.running.values():
            boot(guest)
            guest.run(FIND)


def same(files: Files, more: str) -> Made:
    """Velocity's own command line; `more` stands with the disk's file."""

    def made(place: Place) -> list[str]:
        opened = [os.open(files.disk, os.O_RDWR), os.open(files.tool, os.O_RDONLY)]
        place.fds.extend(opened)
        disks = [
            DiskSpec(MediaRef(1, UUID(int=2 + number), "raw"), Bus.BLOCK, readonly=number > 0, cdrom=False)
            for number in range(2)
        ]
        words = same_devices(place, disks, opened, displays=0, nics=())
        return [f"{word}{more}" if "node-name=disk1," in word else word for word in words]

    return made


def with_disks(made: Made, files: Files, device: str, more: str) -> Made:
    """Another's machine with the disks as it makes them."""

    def words(place: Place) -> list[str]:
        found = [*made(place)]
        for number, (file, own) in enumerate(((files.disk, more), (files.tool, ",read-only=on"))):
            node = f"driver=raw,node-name=d{number},file.driver=file,file.filename={file}{own}"
            found += ["-blockdev", node, "-device", device.format(number=number)]
        return found

    return words


def _proxmox(files: Files) -> Made:
    thread = ["-object", "iothread,id=t0", "-device", "virtio-scsi-pci,id=single,iothread=t0"]
    device = "scsi-hd,bus=single.0,scsi-id={number},drive=d{number}"
    return with_disks(lambda place: [*proxmox(place), *thread], files, device, f"{DIRECT}io_uring,detect-zeroes=on")


def _incus(files: Files) -> Made:
    device = "scsi-hd,bus=scsi.0,scsi-id={number}1,drive=d{number}"
    return with_disks(incus, files, device, f"{DIRECT}io_uring,discard=unmap")


PEERS: dict[str, Callable[[Files], Made]] = {
    "Proxmox VE's defaults": _proxmox,
    "Incus' defaults": _incus,
    "virt-manager's defaults": lambda files: with_disks(
        virt_manager, files, "virtio-blk-pci,drive=d{number}", ",discard=unmap"
    ),
}
"""qemu-server's src/PVE/QemuServer/Drive.pm and Blockdev.pm (cache none, aio io_uring; the wizard's VirtIO SCSI single
with an iothread), Incus' driver_qemu.go (io.cache none, io.bus virtio-scsi, aio io_uring), virt-manager's
virt-install-linux2020.xml (virtio-blk, QEMU's own cache mode, discard)."""


def main() -> None:
    bench = Bench("disks", "a guest's disk: by the host's page cache, and past it")
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="velocity-bench-")))
        runs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="velocity-runs-")))
        place.chmod(0o711)
        runs.chmod(0o711)
        guests = Guests(stack, place)
        server = Server(place / "data", runtime_dir=str(runs))
        stack.callback(server.close)
        server.start()
        iso = server.upload("guest.iso", guests.iso.read_bytes())
        io = server.upload("tool", (place / "tool").read_bytes(), type="DISK")
        both = {"writeback": "", "none": f"{DIRECT}io_uring"}
        ways = {"writeback by io_uring": ",file.aio=io_uring", "none by Linux AIO": f"{DIRECT}native"}
        for cache in both:
            guests.ours(server, cache, iso, io)
        for which, more in {**both, **ways}.items():
            guests.by_hand(f"{BY_HAND}, {which}", lambda files, more=more: same(files, more))  # type: ignore[misc]
        for who, made in PEERS.items():
            guests.by_hand(who, made)
        guests.ready()
        turns = [
            lambda who=who, guest=guest, disk=disk: measure(bench, who, guest, disk)
            for who, (guest, disk) in guests.running.items()
        ]
        bench.rounds(ROUNDS, turns, warm=0, seconds=SECONDS)
        for row, cache in itertools.product(ROWS, both):
            bench.goal(f"{row}: {OURS}, {cache}", f"{row}: {BY_HAND}, {cache}", factor=0.98, least=True)
        for row, who in itertools.product(ROWS, PEERS):
            bench.goal(f"{row}: {OURS}, writeback", f"{row}: {who}", factor=1, least=True)
        found = subprocess.run(["stat", "-fc%T", place], capture_output=True, text=True, check=True).stdout.strip()
        bench.notes.append(f"by {'KVM' if KVM else 'software emulation'}; the disks lie on {found}")
    bench.finish()


if __name__ == "__main__":
    main()
