"""Fifty VMs at once: started, resumed, listed, paused, kept over a crash of the server, and stopped.

Beside fifty of QEMU's own, as many at a time as goes best, and libvirt's. All are started as PAUSED, before their first
instruction: firmware that runs in fifty guests takes all of the processor, and tells nothing of who started them.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from bench.actors import Pulse
from bench.harness import Absent, Bench, timed
from bench.peers.libvirt import Libvirt
from bench.peers.raw import Many
from bench.server import Client, Launched, Velocity

COUNT = 50
ROUNDS = 3
WIDTHS = (2, 4, 8)
IDLE = 1.0
"""Seconds for which states are read while nothing else goes on."""
BEST = f"start of {COUNT}: raw QEMU, the same devices, at its best width"
READ = "state read's p99"


class Fifty:
    """The VMs behind one server, each with a connection of its own. `other` is a VM that is never started."""

    def __init__(self, server: Velocity) -> None:
        self.server = server
        self.client = server.client()
        self.vmids = [server.reference_vm(self.client, f"vm {number}") for number in range(COUNT)]
        self.other = server.reference_vm(self.client, "other", disk=False)
        self.pool = ThreadPoolExecutor(COUNT)
        self._connect()

    def _connect(self) -> None:
        self.connections = [self.server.client() for _ in self.vmids]
        for one in self.connections:
            one.connect()

    def ask(self, state: str, *, force: bool = False) -> float:
        """Ask for a state of all at once; milliseconds until the last has it."""

        def one(client: Client, vmid: int) -> None:
            client.call("PUT", "/v/vm/state", vmid=vmid, state=state, force=force)

        return timed(lambda: list(self.pool.map(one, self.connections, self.vmids)))

    def crash(self) -> Launched:
        """Kill the server and start it again."""
        self.server.stop(signal.SIGKILL)
        launched = self.server.launch(COUNT + 1)
        self.client = self.server.client()
        self._connect()
        return launched

    def list(self) -> list[str]:
        """The states of the fifty."""
        listed = self.client.call("POST", "/v/vm/list", gid=0)["vms"]
        return [one["state"] for one in listed if one["vmid"] != self.other]

    def check(self, state: str) -> None:
        if (found := self.list()) != [state] * COUNT:
            raise AssertionError(f"not all are {state}: {found}")


def main() -> None:
    bench = Bench("fifty", f"{COUNT} VMs at once")
    with ExitStack() as stack:
        fifty = Fifty(stack.enter_context(Velocity()))
        libvirt: Libvirt | None = None
        try:
            libvirt = Libvirt()
            stack.callback(libvirt.close)
            bench.versions["libvirt"] = libvirt.version
            for number in range(COUNT):
                libvirt.do("define", name=f"vm{number}")
        except Absent as error:
            bench.absent["libvirt"] = str(error)
        contestants: list[Callable[[], None]] = [lambda: ours(bench, fifty)]
        contestants += [floor(bench, fifty, width) for width in WIDTHS]
        if libvirt is not None:
            contestants.append(peer(bench, libvirt))
        bench.rounds(ROUNDS, contestants)
    goals(bench)
    bench.finish()


def ours(bench: Bench, fifty: Fifty) -> None:
    """What fifty VMs go through in a round."""

    def add(what: str, took: float) -> None:
        bench.add(f"{what}: Velocity", "ms", took)

    def crash(among: str, state: str) -> None:
        launched = fifty.crash()
        fifty.check(state)
        add(f"restart, {among}", launched.ms)
        add(f"restart's CPU, {among}", launched.cpu)

    crash("none running", "STOPPED")
    with Pulse(fifty.server, fifty.other) as idle:
        time.sleep(IDLE)
    add(f"{READ}, idle", idle.p99)
    with Pulse(fifty.server, fifty.other) as meanwhile:
        add(f"start of {COUNT}", fifty.ask("PAUSED"))
    add(f"{READ} while {COUNT} start", meanwhile.p99)
    fifty.check("PAUSED")
    crash(f"{COUNT} paused", "PAUSED")
    add(f"resume of {COUNT}", fifty.ask("RUNNING"))
    add(f"list of {COUNT}", timed(lambda: fifty.check("RUNNING")))
    crash(f"{COUNT} running", "RUNNING")
    add(f"pause of {COUNT}", fifty.ask("PAUSED"))
    fifty.check("PAUSED")
    add(f"forced stop of {COUNT}", fifty.ask("STOPPED", force=True))
    fifty.check("STOPPED")


def floor(bench: Bench, fifty: Fifty, width: int) -> Callable[[], None]:
    def run() -> None:
        with Many(COUNT) as machines:
            with Pulse(fifty.server, fifty.other) as meanwhile:
                bench.add(of_width(width), "ms", machines.start(width))
            bench.add(f"{READ} while {COUNT} raw QEMUs start, {width} at a time", "ms", meanwhile.p99)
            bench.add(f"forced stop of {COUNT}: raw QMP quit", "ms", machines.stop())

    return run


def peer(bench: Bench, libvirt: Libvirt) -> Callable[[], None]:
    names = [f"vm{number}" for number in range(COUNT)]

    def run() -> None:
        bench.add(f"start of {COUNT}: libvirt", "ms", libvirt.ms("start_many", names=names))
        bench.add(f"forced stop of {COUNT}: libvirt", "ms", libvirt.ms("destroy_all"))

    return run


def of_width(width: int) -> str:
    return f"start of {COUNT}: raw QEMU, the same devices, {width} at a time"


def goals(bench: Bench) -> None:
    best = min(WIDTHS, key=lambda width: bench.median(of_width(width)))
    bench.add(BEST, "ms", *bench.values[of_width(best)])
    bench.notes.append(f"raw QEMU is best {best} at a time here")
    start, stop = f"start of {COUNT}: Velocity", f"forced stop of {COUNT}: Velocity"
    bench.goal(start, BEST, factor=1.1)
    bench.goal(start, f"start of {COUNT}: libvirt", factor=1 / 8, text="at least 8 times faster than libvirt")
    bench.goal(f"{READ} while {COUNT} start: Velocity", f"{READ}, idle: Velocity", factor=5)
    for what, among in (("restart", f"{COUNT} paused"), ("restart's CPU", f"{COUNT} running")):
        bench.goal(
            f"{what}, {among}: Velocity", f"{what}, none running: Velocity", factor=1, plus=2 * COUNT,
            text="at most 2 ms more for each VM that is adopted",
        )  # fmt: skip
    bench.goal(stop, f"forced stop of {COUNT}: libvirt", factor=1 / 20, text="at least 20 times faster than libvirt")


if __name__ == "__main__":
    main()
