"""What is read most: one VM's state, and the list of a group's VMs. Beside a bare endpoint and libvirt."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack

from bench.harness import Absent, Bench, timed
from bench.load import load
from bench.peers.bare import Bare
from bench.peers.libvirt import Libvirt
from bench.server import Client, Velocity

ROUNDS, SECONDS = 5, 1.0
CONNECTIONS = (1, 16)
SIZES = (1_000, 10_000)
MAKERS = 8


def main() -> None:
    bench = Bench("state", "state of one VM, and lists of 1,000 and 10,000 with state")
    with ExitStack() as stack:
        server, bare = stack.enter_context(Velocity()), stack.enter_context(Bare())
        libvirt: Libvirt | None = None
        try:
            libvirt = Libvirt()
            stack.callback(libvirt.close)
            bench.versions["libvirt"] = libvirt.version
            libvirt.do("define", name="one")
        except Absent as error:
            bench.absent["libvirt"] = str(error)
        states(bench, server, bare, libvirt)
        for size in SIZES:
            lists(bench, server, bare, libvirt, size)
    for count in CONNECTIONS:
        case = f"state, {count} connection{'s' if count > 1 else ''}"
        bench.goal(f"{case}: Velocity's CPU", f"{case}: bare endpoint's CPU", factor=1.35)
        bench.goal(f"{case}: Velocity's rate", f"{case}: bare endpoint's rate", factor=0.75, least=True)
    for size, faster in zip(SIZES, (5, 10), strict=True):
        case = f"list of {size:,}"
        bench.goal(f"{case}: Velocity's CPU", f"{case}: bare endpoint's CPU", factor=2)
        text = f"at least {faster} times faster than libvirt"
        bench.goal(f"{case}: Velocity", f"{case}: libvirt", factor=1 / faster, text=text)
    bench.notes.append(
        "the bare endpoint has the bytes of its list ready; both ends' JSON is parsed in the list's time"
    )
    bench.finish()


def states(bench: Bench, server: Velocity, bare: Bare, libvirt: Libvirt | None) -> None:
    vmid = server.reference_vm(server.client(), "one", disk=False)

    def measured(name: str, port: int, pid: int, path: str, key: str, count: int) -> Callable[[], None]:
        case = f"state, {count} connection{'s' if count > 1 else ''}: {name}"

        def run() -> None:
            found = load(port, pid, path, connections=count, seconds=SECONDS, key=key, vmid=vmid)
            bench.add(f"{case}'s CPU", "us", found.cpu)
            bench.add(f"{case}'s rate", "/s", found.rate)
            if count == 1:
                bench.add(f"state: {name}", "ms", found.p50)

        return run

    runs = []
    for count in CONNECTIONS:
        runs.append(measured("Velocity", server.port, server.pid, "/v/vm/state", server.key, count))
        runs.append(measured("bare endpoint", bare.port, bare.pid, "/state", "", count))
    if libvirt is not None:
        peer = libvirt
        runs.append(lambda: bench.add("state: libvirt", "ms", *(peer.ms("state", name="one") for _ in range(20))))
    bench.rounds(ROUNDS, runs)


def lists(bench: Bench, server: Velocity, bare: Bare, libvirt: Libvirt | None, size: int) -> None:
    client = server.client()
    gid = client.call("PUT", "/u/group", name=f"of {size}", parent_gid=0)["gid"]
    make(server, gid, size)
    answer = client.call("POST", "/v/vm/list", gid=gid)
    assert len(answer["vms"]) == size
    bare.keep(answer)
    direct = Client(bare.port)
    case = f"list of {size:,}"

    def ours() -> None:
        found = load(server.port, server.pid, "/v/vm/list", connections=1, seconds=SECONDS, key=server.key, gid=gid)
        bench.add(f"{case}: Velocity's CPU", "us", found.cpu)
        bench.add(f"{case}: Velocity", "ms", timed(lambda: client.call("POST", "/v/vm/list", gid=gid)))

    def floor() -> None:
        found = load(bare.port, bare.pid, "/ready", connections=1, seconds=SECONDS)
        bench.add(f"{case}: bare endpoint's CPU", "us", found.cpu)
        bench.add(f"{case}: bare endpoint", "ms", timed(lambda: direct.call("POST", "/ready")))

    def encoding() -> None:
        found = load(bare.port, bare.pid, "/encoded", connections=1, seconds=SECONDS)
        bench.add(f"{case}: bare endpoint that encodes, CPU", "us", found.cpu)

    def changing() -> None:
        """The list after a change of one of them: what has to be joined anew."""
        vmid = answer["vms"][size // 2]["vmid"]
        for number in range(5):
            client.call("PATCH", "/v/vm", vmid=vmid, memory_mib=64 + number)
            took = timed(lambda: client.call("POST", "/v/vm/list", gid=gid))
            bench.add(f"{case}, one of them just changed: Velocity", "ms", took)

    runs = [ours, floor, encoding, changing]
    if libvirt is not None:
        peer = libvirt
        peer.do("copies", name="one", count=size - 1)
        peer.do("relaunch")
        runs.append(lambda: bench.add(f"{case}: libvirt", "ms", peer.ms("list")))
    bench.rounds(ROUNDS, runs)


def make(server: Velocity, gid: int, size: int) -> None:
    """Create VMs, some at a time."""

    def work(numbers: Iterable[int]) -> None:
        client = server.client()
        for number in numbers:
            client.call("PUT", "/v/vm/efi", name=f"vm{number}", gid=gid, cpus=1, memory_mib=256)

    threads = [threading.Thread(target=work, args=(range(first, size, MAKERS),)) for first in range(MAKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
