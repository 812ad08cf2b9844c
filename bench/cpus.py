"""Software emulation: what guests' work costs the host with each CPU model, and with each room for translated code.

By hand, with Velocity's own command line but for these. What counts is the time that QEMU has had on the host's
processors: it differs less than the clock where others want them, too.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bench.guests import boot, same
from bench.harness import Bench, cpu_seconds, memory_mib
from bench.overhead import CACHE, guests_own
from bench.peers.guests import ByHand, Made, Place
from bench.peers.raw import KVM
from velocity.cli.demo.guest import build
from velocity.hypervisor.qemu.command import room_for_code
from velocity.hypervisor.qemu.hardware import PROFILES

ROUNDS = int(os.environ.get("VELOCITY_BENCH_ROUNDS", "5"))
SECONDS = 1800.0
MEMORY = 256
OWN = room_for_code(MEMORY)
BEST = PROFILES[-1].best_cpu["tcg"]
MODELS = (BEST, "max", f"{BEST},la57=off", f"{BEST},smap=off", "qemu64", "Nehalem", "EPYC")
"""What can do most is not what runs fastest: a kernel uses what it finds, and some of it is emulated slowly."""
ROOMS = (32, 48, 64, 128, 256)
"""MiB for code that is translated, beside Velocity's own: full, it is emptied, and all is translated again."""
WORK = {
    "copying": "dd if=/dev/zero of=/dev/null bs=1M count=400 2>/dev/null",
    "files": "mkdir -p /a; mount -t tmpfs a /a; dd if=/dev/zero of=/a/f bs=1M count=64 2>/dev/null; umount /a",
    "computing": "dd if=/dev/zero bs=1M count=24 2>/dev/null | sha256sum",
    "processes": "n=0; while [ $n -lt 100 ]; do /bin/busybox true; n=$((n+1)); done",
}


def made(model: str, room: int = OWN) -> Made:
    def words(place: Place) -> list[str]:
        found = [word.replace(f"tb-size={OWN}", f"tb-size={room}") for word in same(place)]
        found[found.index("-cpu") + 1] = model
        return found

    return words


def measure(bench: Bench, model: str, how: Made, iso: Path) -> None:
    with ByHand(how, iso, MEMORY) as guest:
        boot(guest)
        bench.add(of("boot", model), "s", cpu_seconds(guest.pid))
        own = memory_mib(guest.pid, "Rss") - guests_own(guest.pid, MEMORY)
        bench.add(f"beside the guest's memory: {model}", "MiB", own)
        for what, command in WORK.items():
            before = cpu_seconds(guest.pid)
            guest.run(command)
            bench.add(of(what, model), "s", cpu_seconds(guest.pid) - before)


def of(what: str, model: str) -> str:
    return f"{what}, CPU: {model}"


def main() -> None:
    if KVM:
        sys.stdout.write("guests run on the host's own CPU here: models are no matter of speed\n")
        return
    bench = Bench("cpus", "CPU models and room for translated code, under software emulation")
    iso = build(CACHE).iso
    models = {model: made(model) for model in MODELS}
    models |= {f"{BEST}, {room} MiB of code": made(BEST, room) for room in ROOMS}
    turns = [lambda model=model, how=how: measure(bench, model, how, iso) for model, how in models.items()]
    bench.rounds(ROUNDS, turns, warm=0, seconds=SECONDS)
    for what in ("boot", *WORK):
        for model in models:
            if model != BEST:
                bench.goal(of(what, BEST), of(what, model), factor=1.05)
    bench.finish()


if __name__ == "__main__":
    main()
