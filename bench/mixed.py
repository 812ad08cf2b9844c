"""All at once over one server: what each takes beside the same alone, and what is the machine's share of that.

States are read, VMs started, people sign in, files come, consoles are typed into, and a hundred readers hear of it. VMs
are in memory alone (`bench.faked`): what guests take of the processor is no matter of the server's. A bare endpoint
beside it is read at the same time: what it takes more than alone is what the machine is short of.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.actors import Actor, act, percentile
from bench.files import fill
from bench.harness import Bench
from bench.peers.bare import Bare
from bench.seed import World, key, seed
from bench.server import PASSWORD, Velocity

ROUNDS = 4
ALONE, MIXED = 1.5, 4.0
"""Seconds."""
WORLD = World(vms=1_000, media=1_000, users=10, groups=12)
READERS, CONSOLES = 100, 2
FILE = 32 << 20
READ, BARE = "state read", "bare endpoint's read"
SHARES = (50, 99)


def main() -> None:
    bench = Bench("mixed", "all at once, and each alone")
    with ExitStack() as stack:
        file = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="velocity-bench-"))) / "file"
        fill(file, FILE)
        server, bare = stack.enter_context(Velocity(fake=True)), stack.enter_context(Bare())
        seed(server, WORLD)
        server.start()
        cast = actors(server, bare, file)

        def alone() -> None:
            for what, some in cast.items():
                act(some, ALONE)
                keep(bench, what, some, "alone")

        def mixed() -> None:
            act([one for some in cast.values() for one in some], MIXED)
            for what, some in cast.items():
                keep(bench, what, some, "mixed")

        bench.rounds(ROUNDS, [alone, mixed], warm=0, seconds=90)
    order = (f"{what}, p{share}: {how}" for what in cast for share in SHARES for how in ("alone", "mixed"))
    bench.values = {name: bench.values[name] for name in order}
    bench.goal(f"{READ}, p99: mixed", f"{READ}, p99: alone", factor=5)
    bench.goal(f"{READ}, p99: mixed", f"{BARE}, p99: mixed", factor=2)
    bench.notes.append(
        f"alone for {ALONE:g} s each, all at once for {MIXED:g} s, in turns; each actor is a process on the same "
        "cores and waits for its answer, so that it does less where that comes later. "
        "Of sign-ins there are so few in a round that the 99th percentile is the slowest one"
    )
    bench.finish()


def actors(server: Velocity, bare: Bare, file: Path) -> dict[str, list[Actor]]:
    client = server.client()
    vmids = iter(range(1, WORLD.vms))
    where = {"port": server.port, "key": server.key}

    def running() -> int:
        vmid = next(vmids)
        client.call("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        return vmid

    return {
        READ: [Actor("read", port=server.port, key=key(1), path="/v/vm/state", vmid=WORLD.chain_of(1)[-1])],
        BARE: [Actor("read", port=bare.port, key="", path="/state", vmid=1)],
        "start": [Actor("start", **where, vmid=next(vmids))],
        "sign-in": [Actor("sign_in", port=server.port, name="user 2", password=PASSWORD)],
        f"upload of {FILE >> 20} MiB": [Actor("upload", **where, file=str(file), name="uploaded")],
        f"change, until {READERS} readers have it": [Actor("change", **where, vmid=next(vmids), readers=READERS)],
        "key typed into a console, until it shows": [
            Actor("type", **where, vmid=running()) for _ in range(CONSOLES)
        ],
    }  # fmt: skip


def keep(bench: Bench, what: str, actors: list[Actor], how: str) -> None:
    ms = [took for one in actors for took in one.ms]
    for share in SHARES:
        bench.add(f"{what}, p{share}: {how}", "ms", percentile(ms, share))


if __name__ == "__main__":
    main()
