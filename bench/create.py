"""Creating VMs, each on the disk before it is answered: by one client, and by 32 whose changes share commits.

Beside SQLite's commits alone on the same file system, one after the other, and libvirt's definitions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import ExitStack

from bench.harness import Absent, Bench
from bench.load import NUMBER, Load, load
from bench.peers.commits import Commits, counted
from bench.peers.libvirt import Libvirt
from bench.server import Velocity

ROUNDS, SECONDS = 7, 1.0
CLIENTS = 32
DEFINED = 50
"""Domains that libvirt defines in a round."""
ONE, MANY = "create, one client", f"created by {CLIENTS} clients"
COMMIT = "a commit of SQLite alone"


def main() -> None:
    bench = Bench("create", f"creating VMs, by 1 and by {CLIENTS} clients")
    with ExitStack() as stack:
        server = stack.enter_context(Velocity())
        commits = Commits(server.data / "commits.db")
        stack.callback(commits.close)
        client, turns = server.client(), itertools.count()

        def create(clients: int) -> Load:
            turn = next(turns)
            # A group has at most 10,000 VMs.
            gid = client.call("PUT", "/u/group", name=f"group {turn}", parent_gid=0)["gid"]
            name = f"vm {turn} {NUMBER}"
            return load(
                server.port, server.pid, "/v/vm/efi", method="PUT", connections=clients, seconds=SECONDS,
                key=server.key, name=name, gid=gid, cpus=1, memory_mib=256, nics=[{"type": "NAT"}],
            )  # fmt: skip

        def one() -> None:
            found = create(1)
            bench.add(f"{ONE}: Velocity", "ms", found.p50)
            bench.add(f"{ONE}, CPU: Velocity", "us", found.cpu)

        def many() -> None:
            found = create(CLIENTS)
            bench.add(f"{MANY}: Velocity", "/s", found.rate)
            bench.add(f"{MANY}, CPU of each: Velocity", "us", found.cpu)
            bench.add(f"{MANY}, the 99th percentile: Velocity", "ms", found.p99)

        def floor() -> None:
            took = commits.run(SECONDS)
            bench.add(COMMIT, "ms", *took)
            bench.add(f"{COMMIT}, one after the other", "/s", len(took) / sum(took) * 1000)

        contestants = [one, many, floor]
        try:
            libvirt = Libvirt()
            stack.callback(libvirt.close)
            bench.versions["libvirt"] = libvirt.version

            def peer() -> None:
                first = next(turns) * DEFINED
                took = libvirt.ms("define_many", first=first, last=first + DEFINED)
                bench.add("define: libvirt", "ms", took / DEFINED)
                bench.add("defined: libvirt", "/s", DEFINED / took * 1000)

            contestants.append(peer)
        except Absent as error:
            bench.absent["libvirt"] = str(error)
        bench.rounds(ROUNDS, contestants)
        for clients in (1, CLIENTS):
            shared(bench, server, clients, create)
    bench.goal(f"{ONE}: Velocity", COMMIT, factor=1, plus=0.6)
    bench.goal(f"{MANY}: Velocity", f"{COMMIT}, one after the other", factor=2, least=True)
    bench.goal(f"{MANY}: Velocity", "defined: libvirt", factor=5, least=True)
    bench.finish()


def shared(bench: Bench, server: Velocity, clients: int, create: Callable[[int], Load]) -> None:
    """In a turn of its own: counting makes SQLite's log longer than it would be. The history's commits count, too."""
    client = server.client()
    made: list[int] = []
    number = counted(
        server.data / "velocity.db",
        lambda: client.call("PUT", "/v/vm/efi", name=f"counted {clients}", gid=0, cpus=1, memory_mib=256),
        lambda: made.append(create(clients).requests),
    )
    bench.add(f"commits for each VM, {clients} client{'s' if clients > 1 else ''}: Velocity", "", number / made[0])


if __name__ == "__main__":
    main()
