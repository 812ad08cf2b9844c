"""The memory of the server: idle, for each VM that is defined, and for each that runs. Beside libvirtd's.

Idle, it is the proportional set size of the one process. What is more is measured by its own pages alone (`OWN`), as
the libraries that QEMU's processes share with it make the proportional size smaller. proc(5), smaps_rollup
"""

from __future__ import annotations

import time
from contextlib import ExitStack

from bench.harness import Absent, Bench, memory_mib
from bench.peers.libvirt import Libvirt
from bench.seed import World, seed
from bench.server import Velocity

ROUNDS = 3
DEFINED = 10_000
RUNNING = 20
WHILE = 3.0
"""Seconds that the guests run before one looks: their firmware writes to the serial console, which is kept."""
IDLE, DEFINED_ONE, RUNNING_ONE = "idle", f"each VM of {DEFINED:,} defined", f"each VM of {RUNNING} running"
OWN = "Private_Dirty"
BOUNDS = ((IDLE, "MiB", 64.0), (RUNNING_ONE, "MiB", 0.2), (DEFINED_ONE, "KiB", 6.0))


def main() -> None:
    bench = Bench("memory", "memory of the server")
    with ExitStack() as stack:
        empty, full = stack.enter_context(Velocity()), stack.enter_context(Velocity())
        empty.stop()
        seed(full, World(vms=DEFINED))
        for _ in range(ROUNDS):
            (idle, own), (defined, more) = launched(empty, 0), launched(full, DEFINED)
            bench.add(f"{IDLE}: Velocity", "MiB", idle)
            bench.add(f"{DEFINED:,} defined: Velocity", "MiB", defined)
            bench.add(f"{DEFINED_ONE}: Velocity", "KiB", (more - own) * 1024 / DEFINED)
        running(bench, stack.enter_context(Velocity()))
        try:
            libvirt = Libvirt()
            stack.callback(libvirt.close)
            bench.versions["libvirt"] = libvirt.version
            peer(bench, libvirt)
        except Absent as error:
            bench.absent["libvirt"] = str(error)
    for what, unit, most in BOUNDS:
        bound = f"bound: {most:g} {unit}"
        bench.add(bound, unit, most)
        bench.goal(f"{what}: Velocity", bound, factor=1)
    bench.notes.append(
        f"with {DEFINED:,} VMs the first list has been read, and so what is kept of it is counted; libvirtd keeps none"
    )
    bench.finish()


def launched(server: Velocity, vms: int) -> tuple[float, float]:
    """MiB of a server that has just been started and has listed its VMs: proportional, and its own."""
    server.launch(vms)
    found = memory_mib(server.pid), memory_mib(server.pid, OWN)
    server.stop()
    return found


def running(bench: Bench, server: Velocity) -> None:
    """What a run takes beyond what the first run of all took once and for all."""
    client = server.client()

    def ask(vmid: int, state: str) -> None:
        client.call("PUT", "/v/vm/state", vmid=vmid, state=state, force=True)

    vmids = [server.reference_vm(client, f"vm {number}") for number in range(RUNNING)]
    for state in ("PAUSED", "STOPPED"):
        ask(vmids[0], state)
    before = memory_mib(server.pid, OWN)
    for vmid in vmids:
        ask(vmid, "PAUSED")
    for vmid in vmids:
        ask(vmid, "RUNNING")
    time.sleep(WHILE)
    bench.add(f"{RUNNING_ONE}: Velocity", "MiB", (memory_mib(server.pid, OWN) - before) / RUNNING)
    for vmid in vmids:
        ask(vmid, "STOPPED")


def peer(bench: Bench, libvirt: Libvirt) -> None:
    names = ["one", *(f"more{number}" for number in range(1, RUNNING))]
    for name in names:
        libvirt.do("define", name=name)
    libvirt.do("start", name="one")
    libvirt.do("destroy", name="one")
    before = mib(libvirt, OWN)
    libvirt.do("start_many", names=names)
    bench.add(f"{RUNNING_ONE}: libvirt", "MiB", (mib(libvirt, OWN) - before) / RUNNING)
    libvirt.do("destroy_all")
    libvirt.do("relaunch")
    bench.add(f"{IDLE}: libvirt", "MiB", mib(libvirt))
    idle = mib(libvirt, OWN)
    libvirt.do("copies", name="one", count=DEFINED - RUNNING)
    libvirt.do("relaunch")
    bench.add(f"{DEFINED:,} defined: libvirt", "MiB", mib(libvirt))
    bench.add(f"{DEFINED_ONE}: libvirt", "KiB", (mib(libvirt, OWN) - idle) * 1024 / (DEFINED - RUNNING))


def mib(libvirt: Libvirt, field: str = "Pss") -> float:
    return float(libvirt.do("memory", field=field)["mib"])


if __name__ == "__main__":
    main()
