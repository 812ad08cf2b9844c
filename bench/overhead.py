"""What QEMU takes beside its guest's memory, while the guest works: beside the bound that a VM's scope has for that.

The pages of the process but for those of the guest's memory, which is its largest mapping. What the kernel keeps for it
besides, such as files that were read, gives way before a bound is reached. proc_pid_smaps(5)
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from tests.journeys.server import Server, Terminal

from bench.harness import Bench, memory_mib
from velocity.cli.demo.guest import build
from velocity.hypervisor.port import Bus, DiskSpec, DisplaySpec, MachineSpec
from velocity.hypervisor.qemu.scopes import most_memory
from velocity.storage.port import MediaRef

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "velocity-tests"
DISK = 256 << 20
WORK = (
    "mkdir -p /all; mount -t tmpfs -o size=50% all /all",
    "dd if=/dev/zero of=/all/zero bs=1M 2>/dev/null; md5sum /all/zero",
    "for one in a b c; do md5sum /all/zero & done; wait",
    "for disk in /dev/vd?; do [ -b $disk ] && dd if=/dev/zero of=$disk bs=1M conv=fsync 2>/dev/null; done",
    "[ -e /dev/fb0 ] && dd if=/dev/urandom of=/dev/fb0 bs=1M 2>/dev/null; wget -T 2 -O - http://10.0.2.2/ 2>/dev/null",
)
"""Most of its memory, read by as many processes at a time as find room; disks, displays and NAT."""


class Guest(NamedTuple):
    name: str
    cpus: int
    memory: int
    displays: int
    disks: int


GUESTS = (
    Guest("1 vCPU, 256 MiB", 1, 256, 0, 0),
    Guest("2 vCPUs, 1 GiB, a display, a disk", 2, 1024, 1, 1),
    Guest("4 vCPUs, 2 GiB, 2 displays, 3 disks", 4, 2048, 2, 3),
)


def main() -> None:
    bench = Bench("overhead", "memory of QEMU beside the guest's")
    iso = build(CACHE).iso.read_bytes()
    with tempfile.TemporaryDirectory(prefix="velocity-bench-") as place, tempfile.TemporaryDirectory() as runs:
        Path(place).chmod(0o711)
        Path(runs).chmod(0o711)
        server = Server(Path(place) / "data", runtime_dir=runs)
        server.start()
        try:
            medium = server.upload("guest.iso", iso)
            for guest in GUESTS:
                measured(bench, server, guest, medium)
        finally:
            server.close()
    bench.finish()


def measured(bench: Bench, server: Server, guest: Guest, medium: str) -> None:
    disks = [
        server.ok("PUT", "/m/media/create", gid=0, mpid=1, name=f"{guest.name} {disk}", size=DISK, format="qcow2")[
            "mid"
        ]
        for disk in range(guest.disks)
    ]
    vmid = server.ok(
        "PUT", "/v/vm/efi", name=guest.name, gid=0, cpus=guest.cpus, memory_mib=guest.memory,
        displays=[{"name": str(display), "width": 1920, "height": 1080} for display in range(guest.displays)],
        media=[{"mid": medium, "mode": "VIRTIO"}, *({"mid": mid, "mode": "BLOCK"} for mid in disks)],
        nics=[{"type": "NAT"}],
    )["vmid"]  # fmt: skip
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    (pid,) = server.processes()
    terminal: Terminal = server.console(vmid)
    terminal.boot()
    took = 0.0
    for work in WORK:
        terminal.run(work, 300)
        took = max(took, memory_mib(pid, "Rss") - guests_own(pid, guest.memory))
    terminal.close()
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    ref = MediaRef(1, UUID(disks[0] if disks else medium), "qcow2")
    spec = MachineSpec(
        guest.name, guest.cpus, guest.memory, "", "",
        disks=(DiskSpec(ref, Bus.BLOCK, readonly=False, cdrom=False),) * (guest.disks + 1),
        displays=(DisplaySpec("", 1920, 1080),) * guest.displays,
    )  # fmt: skip
    bench.add(f"{guest.name}: QEMU", "MiB", took)
    bench.add(f"{guest.name}: its bound", "MiB", most_memory(spec) - guest.memory)
    bench.goal(f"{guest.name}: QEMU", f"{guest.name}: its bound", factor=1)


def guests_own(pid: int, memory: int) -> float:
    """MiB that are there of the guest's memory."""
    found = re.findall(r"^Size: +(\d+) kB\n(?:.*\n)*?Rss: +(\d+) kB", Path(f"/proc/{pid}/smaps").read_text(), re.M)
    size, there = max((int(size), int(there)) for size, there in found)
    assert size >= memory << 10
    return min(there / 1024, memory)


if __name__ == "__main__":
    main()
