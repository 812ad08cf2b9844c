"""A guest's disk: read from end to end, cold and from the host's page cache, at random, and written with flushes.

What is measured is done inside the guest, past its own cache, by a small program that comes to it on a second disk.
Velocity's two modes, each beside QEMU by hand with the same command line; what else there is, by hand; and the disks
that others' defaults make.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from tests.journeys.server import Server

from bench.files import fill
from bench.guests import Ours, boot, same_devices
from bench.harness import Absent, Bench
from bench.overhead import CACHE
from bench.peers.guests import KVM, ByHand, Made, Place, incus, proxmox, virt_manager
from velocity.cli.demo.guest import build
from velocity.hypervisor.port import Bus, DiskSpec
from velocity.storage.port import MediaRef

ROUNDS = int(os.environ.get("VELOCITY_BENCH_ROUNDS", "5"))
SECONDS = 3600.0
SIZE, TOOL_SIZE = 512 << 20, 2 << 20
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
    """What guests have: `disk` is written to, `tool` is only read."""

    iso: Path
    disk: Path
    tool: Path


def tool(place: Path) -> Path:
    """The program, as a disk. Raises `Absent`."""
    if shutil.which("gcc") is None:
        raise Absent("gcc is missing, which compiles the program that measures")
    file = place / "tool"
    subprocess.run(["gcc", "-O2", "-static", "-o", file, SOURCE], check=True)
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
    boot(guest)
    guest.run(FIND)
    for row, (what, unit) in ROWS.items():
        (drop if row.endswith("cold") else warm)(disk)
        said = str(guest.run(f"/io $d {what}"))
        found = re.search(r"RESULT ([\d.]+)", said)
        if found is None:
            raise RuntimeError(f"{who}, {row}: {said[-300:]}")
        bench.add(f"{row}: {who}", unit, float(found[1]))


def ours(bench: Bench, server: Server, media: Sequence[dict[str, object]], disk: Path, who: str) -> None:
    vmid = int(server.ok("PUT", "/v/vm/efi", name=who, gid=0, cpus=1, memory_mib=256, media=media)["vmid"])
    guest = Ours(server, vmid)
    try:
        measure(bench, who, guest, disk)
    finally:
        guest.close()
        server.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
        server.ok("DELETE", "/v/vm", vmid=vmid, purge=True)


def same(files: Files, more: str) -> Made:
    """Velocity's own command line; `more` stands with the disk's file."""

    def made(place: Place) -> list[str]:
        opened = [os.open(files.disk, os.O_RDWR), os.open(files.tool, os.O_RDONLY)]
        place.fds.extend(opened)
        disks = [
            DiskSpec(MediaRef(1, UUID(int=2 + number), "raw"), Bus.BLOCK, readonly=number > 0, cdrom=False)
            for number in range(2)
        ]
        words = same_devices(place, disks, opened, displays=0, nics=0)
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


def peers(files: Files) -> dict[str, Made]:
    """qemu-server's src/PVE/QemuServer/Drive.pm and Blockdev.pm (cache none, aio io_uring; the wizard's VirtIO SCSI
    single with an iothread), Incus' driver_qemu.go (io.cache none, io.bus virtio-scsi, aio io_uring), virt-manager's
    virt-install-linux2020.xml (virtio-blk, QEMU's own cache mode, discard)."""
    thread = ["-object", "iothread,id=t0", "-device", "virtio-scsi-pci,id=single,iothread=t0"]
    return {
        "Proxmox VE's defaults": with_disks(
            lambda place: [*proxmox(place), *thread], files, "scsi-hd,bus=single.0,scsi-id={number},drive=d{number}",
            f"{DIRECT}io_uring,detect-zeroes=on",
        ),
        "Incus' defaults": with_disks(
            incus, files, "scsi-hd,bus=scsi.0,scsi-id={number}1,drive=d{number}", f"{DIRECT}io_uring,discard=unmap"
        ),
        "virt-manager's defaults": with_disks(
            virt_manager, files, "virtio-blk-pci,drive=d{number}", ",discard=unmap"
        ),
    }  # fmt: skip


def main() -> None:
    bench = Bench("disks", "a guest's disk: by the host's page cache, and past it")
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="velocity-bench-")))
        runs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="velocity-runs-")))
        place.chmod(0o711)
        runs.chmod(0o711)
        files = Files(build(CACHE).iso, place / "disk", tool(place))
        fill(files.disk, SIZE)
        server = Server(place / "data", runtime_dir=str(runs))
        stack.callback(server.close)
        server.start()
        iso = {"mid": server.upload("guest.iso", files.iso.read_bytes()), "mode": "VIRTIO"}
        mid = server.upload("disk", files.disk.read_bytes(), type="DISK")
        (own,) = (place / "data" / "media").glob(f"{mid}*")
        io = {"mid": server.upload("tool", files.tool.read_bytes(), type="DISK"), "mode": "BLOCK", "readonly": True}
        disk = {"mid": mid, "mode": "BLOCK"}
        both = {"writeback": "", "none": f"{DIRECT}io_uring"}

        def by_hand(who: str, made: Made) -> Callable[[], None]:
            def run() -> None:
                with ByHand(made, files.iso, 256) as guest:
                    measure(bench, who, guest, files.disk)

            return run

        turns: list[Callable[[], None]] = []
        for cache, more in both.items():
            media = [iso, {**disk, "cache": cache}, io]
            turns.append(lambda cache=cache, media=media: ours(bench, server, media, own, f"{OURS}, {cache}"))  # type: ignore[misc]
            turns.append(by_hand(f"{BY_HAND}, {cache}", same(files, more)))
        turns.append(by_hand(f"{BY_HAND}, writeback by io_uring", same(files, ",file.aio=io_uring")))
        turns.append(by_hand(f"{BY_HAND}, none by Linux AIO", same(files, f"{DIRECT}native")))
        turns += [by_hand(who, made) for who, made in peers(files).items()]
        bench.rounds(ROUNDS, turns, warm=0, seconds=SECONDS)
        for row in ROWS:
            for cache in both:
                bench.goal(f"{row}: {OURS}, {cache}", f"{row}: {BY_HAND}, {cache}", factor=0.98, least=True)
            for who in peers(files):
                bench.goal(f"{row}: {OURS}, writeback", f"{row}: {who}", factor=1, least=True)
    bench.notes.append(f"by {'KVM' if KVM else 'software emulation'}")
    bench.finish()


if __name__ == "__main__":
    main()
