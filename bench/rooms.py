"""Room for translated code, with a guest that has more of it than the demo's: a cloud image, and many programs in it.

By hand, with Velocity's own command line but for the room. What counts is the time that QEMU has had on the host's
processors. It judges a choice in the code, docs/decisions/0050, and is no part of docs/performance.md.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID

from bench.guests import BOOT, same_devices
from bench.harness import Bench, cpu_seconds, memory_mib
from bench.overhead import guests_own
from bench.peers.guests import ByHand, Made, Place
from bench.peers.raw import KVM
from velocity.cli.demo import image
from velocity.hypervisor.port import Bus, DiskSpec, SeedSpec
from velocity.hypervisor.qemu import seed
from velocity.hypervisor.qemu.command import room_for_code
from velocity.storage.port import MediaRef

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "velocity"
"""As `make demo` has it."""
ROUNDS = int(os.environ.get("VELOCITY_BENCH_ROUNDS", "3"))
SECONDS = 1200.0
MEMORY = 1024
OWN = room_for_code(MEMORY)
ROOMS = (OWN, 56, 512)
BEGINS, ENDS = b"work-begins", b"work-ends"
WORK = """
for turn in 1 2 3; do
  python3 -c 'import cloudinit.cmd.main, jinja2, yaml, asyncio, sqlite3, ssl, unittest, xml.dom.minidom, http.server'
  python3 -m compileall -q -f /usr/lib/python3/dist-packages/cloudinit/config
  dpkg -l; dpkg -V systemd; systemctl list-units; journalctl -n 300; ip address
  find /usr -xdev | sort | awk '{ n += length } END { print n }'
  tar -c /usr/lib/python3/dist-packages/cloudinit | gzip | sha512sum
  perl -e 'print sort map { rand } 1 .. 20000'
  rm -f /tmp/key; ssh-keygen -q -t rsa -b 2048 -N '' -f /tmp/key
done >/dev/null 2>&1
"""
"""A desktop's kind: many programs, one after the other, and all of them again."""


def seeded(place: Path) -> Path:
    """The CD by which the guest does the work at the end of its first boot."""
    lines = ["exec 2>/dev/null", "echo work-''begins >/dev/ttyS0", *WORK.splitlines(), "echo work-''ends >/dev/ttyS0"]
    script = "\n".join(f"    {line}" for line in lines)
    file = place / "seed.iso"
    user_data = f"#cloud-config\nruncmd:\n- |\n{script}\n"
    file.write_bytes(seed.image(SeedSpec(user_data=user_data, meta_data="instance-id: rooms\n", network_config="")))
    return file


def made(disk: Path, room: int) -> Made:
    def words(place: Place) -> list[str]:
        opened = os.open(disk, os.O_RDWR)
        place.fds.append(opened)
        system = DiskSpec(MediaRef(1, UUID(int=2), "qcow2"), Bus.BLOCK, readonly=False, cdrom=False)
        found = same_devices(place, (system,), (opened,))
        return [word.replace(f"tb-size={OWN}", f"tb-size={room}") for word in found]

    return words


def measure(bench: Bench, place: Path, system: Path, cd: Path, room: int) -> None:
    disk = place / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", system, "-F", "qcow2", disk], check=True)
    with ByHand(made(disk, room), cd, MEMORY) as guest:
        until(guest, BEGINS)
        booted = cpu_seconds(guest.pid)
        until(guest, ENDS)
        bench.add(of("first boot", room), "s", booted)
        bench.add(of("work", room), "s", cpu_seconds(guest.pid) - booted)
        own = memory_mib(guest.pid, "Rss") - guests_own(guest.pid, MEMORY)
        bench.add(f"beside the guest's memory: {room} MiB of code", "MiB", own)


def until(guest: ByHand, marker: bytes) -> None:
    said, end = b"", time.monotonic() + BOOT
    while marker not in said:
        if time.monotonic() > end:
            raise TimeoutError(said[-500:])
        said += guest.read(1)


def of(what: str, room: int) -> str:
    return f"{what}, CPU: {room} MiB of code"


def main() -> None:
    if KVM:
        sys.stdout.write("guests run on the host's own CPU here: no code is translated\n")
        return
    bench = Bench("rooms", "room for translated code, with a cloud image")
    system = image.build(CACHE, kernels=image.WITH_GRAPHICS)
    with tempfile.TemporaryDirectory(prefix="velocity-bench-") as home:
        place = Path(home)
        cd = seeded(place)
        turns = [lambda room=room: measure(bench, place, system, cd, room) for room in ROOMS]
        bench.rounds(ROUNDS, turns, warm=0, seconds=SECONDS)
    for what in ("first boot", "work"):
        for room in ROOMS[1:]:
            bench.goal(of(what, OWN), of(what, room), factor=1.03)
    bench.finish()


if __name__ == "__main__":
    main()
