"""From the start of the server to its first full list, with none to 10,000 VMs. Beside libvirt's and the imports alone.

The VMs are rows that `bench.seed` writes: a NIC each, and in a case of its own also a disk each.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack

from bench.harness import Absent, Bench, timed
from bench.peers.libvirt import Libvirt
from bench.seed import World, seed
from bench.server import Velocity, usual

SIZES = (0, 10, 100, 1_000, 10_000)
OF_LIBVIRT = (1_000, 10_000)
ROUNDS = 5
SLOW = 10_000
"""Milliseconds after which a peer has one round only."""


def main() -> None:
    bench = Bench("restart", "restart, to the first full list")
    with ExitStack() as stack:
        contestants: list[Callable[[], None]] = [lambda: imports(bench)]
        for size in SIZES:
            contestants.append(ours(bench, stack, named(size), World(vms=size)))
        most = SIZES[-1]
        contestants.append(ours(bench, stack, f"{named(most)}, a disk each", World(vms=most, media=most)))
        try:
            contestants += [peer(bench, stack, size) for size in OF_LIBVIRT]
        except Absent as error:
            bench.absent["libvirt"] = str(error)
        bench.rounds(ROUNDS, contestants)
    for size in SIZES:
        bench.point("restart: Velocity", "ms", size, bench.median(f"restart, {named(size)}: Velocity"))
    for size in OF_LIBVIRT:
        if (name := f"restart, {named(size)}: libvirt") in bench.values:
            bench.point("restart: libvirt", "ms", size, bench.median(name))
    bench.goal(
        f"restart, {named(most)}: Velocity", f"restart, {named(most)}: libvirt", factor=1 / 8,
        text="at least 8 times faster than libvirt",
    )  # fmt: skip
    for what in ("restart", "restart's CPU"):
        bench.goal(f"{what}, {named(most)}: Velocity", f"{what}, {named(0)}: Velocity", factor=1.3)
    bench.finish()


def named(size: int) -> str:
    return f"{size:,} VMs"


def imports(bench: Bench) -> None:
    command = [sys.executable, "-c", "import velocity.cli.serve"]
    bench.add("the imports alone", "ms", timed(lambda: subprocess.run(command, check=True, env=usual())))


def ours(bench: Bench, stack: ExitStack, case: str, world: World) -> Callable[[], None]:
    server = stack.enter_context(Velocity())
    seed(server, world)

    def run() -> None:
        launched = server.launch(world.vms)
        server.stop()
        bench.add(f"restart, {case}: Velocity", "ms", launched.ms)
        bench.add(f"restart's CPU, {case}: Velocity", "ms", launched.cpu)

    return run


def peer(bench: Bench, stack: ExitStack, size: int) -> Callable[[], None]:
    libvirt = Libvirt()
    stack.callback(libvirt.close)
    bench.versions["libvirt"] = libvirt.version
    libvirt.do("define", name="one")
    libvirt.do("copies", name="one", count=size - 1)
    name = f"restart, {named(size)}: libvirt"

    def run() -> None:
        if name not in bench.values or bench.median(name) < SLOW:
            answer = libvirt.do("relaunch")
            if answer["count"] != size:
                raise RuntimeError(f"libvirt lists {answer['count']} domains instead of {size}")
            bench.add(name, "ms", answer["ms"])

    return run


if __name__ == "__main__":
    main()
