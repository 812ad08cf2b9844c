"""What there is grows from 10 VMs to 10,000, with users, groups six deep, and media: what must not grow with it?

Each size is an installation of its own, which `bench.seed` writes; its hypervisor is in memory. In each round every
installation is started, looked at from all sides, and stopped, one after the other.

Flat: a state read, a decision about a right, a change that 100 readers are told. In proportion: what lists everything,
and memory. The floor of each is the same with less of everything, and for a change that is told a bare endpoint's.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.harness import Bench, cpu_seconds, memory_mib, timed
from bench.load import load
from bench.peers.bare import Bare
from bench.readers import Readers
from bench.seed import World, key, seed
from bench.server import Client, Velocity
from velocity.access.directory import Directory
from velocity.access.passwords import Passwords
from velocity.access.service import Access
from velocity.access.updates import DirectoryWriter
from velocity.changes import Changes
from velocity.contract.machines import STATE
from velocity.contract.operation import On
from velocity.steady_clock import SteadyClock
from velocity.store.access import SqlAccess
from velocity.store.database import Database

WORLDS = {
    10: World(vms=10, media=10, users=1, groups=6),
    100: World(vms=100, media=100, users=10, groups=12),
    1_000: World(vms=1_000, media=1_000, users=100, groups=60),
    10_000: World(vms=10_000, media=10_000, users=1_000, groups=200),
}
LEAST, MORE, MOST = 10, 1_000, 10_000
ROUNDS, SECONDS = 3, 1.0
READERS = 100
CHANGES = 20
"""That the readers are told, in a round."""
DECISIONS = 20_000
LISTED = 400
"""VMs or media that are listed at least, in a round, group by group."""
STILL = 0.003
"""Seconds of CPU in 50 ms that are nothing: a server looks at its own loop now and then."""
OWN = "Private_Dirty"
FLAT = {
    "state read by a user six groups deep, CPU": "us",
    "decision about a right, CPU": "us",
    f"change told to {READERS} readers, CPU": "us",
}
LINEAR = {"list of VMs, CPU for each": "us", "list of media, CPU for each": "us", "first snapshot, CPU for each": "us"}
OTHERS = {
    "start-up": "ms",
    "start-up, CPU": "ms",
    f"change told to {READERS} readers, until the last has it": "ms",
    "memory after the start": "MiB",
    "memory once all was listed": "MiB",
}


def main() -> None:
    bench = Bench("scale", f"{LEAST} to {MOST:,} VMs, with users, groups and media")
    with ExitStack() as stack:
        bare = stack.enter_context(Bare())
        runs = [Installation(bench, stack, size) for size in WORLDS]
        bench.rounds(ROUNDS, [*runs, lambda: floor(bench, bare)], seconds=90)
    for what, unit in {**FLAT, **LINEAR, **OTHERS}.items():
        for size in WORLDS:
            bench.point(what, unit, size, bench.median(of(what, size)))
    for size in (MORE, MOST):
        for when in ("after the start", "once all was listed"):
            grown = bench.median(of(f"memory {when}", size)) - bench.median(of(f"memory {when}", LEAST))
            each = grown * 1024 / (objects(size) - objects(LEAST))
            bench.add(of(f"memory {when}, for each object", size), "KiB", each)
            bench.point(f"memory {when}, for each object", "KiB", size, each)
    for what in FLAT:
        bench.goal(of(what, MOST), of(what, LEAST), factor=1.2)
    for what in (*LINEAR, "memory once all was listed, for each object"):
        bench.goal(of(what, MOST), of(what, MORE), factor=1.2)
    worlds = "; ".join(
        f"{world.vms:,} VMs with {world.media:,} media, {world.users:,} users, {world.groups} groups"
        for world in WORLDS.values()
    )
    bench.notes.append(f"{worlds}; groups are six deep, objects are all of these together")
    bench.finish()


def of(what: str, size: int) -> str:
    return f"{what}: {size:,} VMs"


def objects(size: int) -> int:
    world = WORLDS[size]
    return world.vms + world.media + world.users + world.groups


class Installation:
    """One size; a call is its turn in a round."""

    def __init__(self, bench: Bench, stack: ExitStack, size: int) -> None:
        self._bench = bench
        self._size = size
        self._world = world = WORLDS[size]
        self._server = stack.enter_context(Velocity(fake=True))
        seed(self._server, world)
        chain = world.chain_of(1)
        self._vmid = chain[-1]  # the first VM of the deepest group
        team = [uid for uid in range(1, world.users + 1) if world.chain_of(uid) == chain]
        self._keys = [key(uid) for uid in itertools.islice(itertools.cycle(team), READERS)]
        self._decide = decisions(self._server.data, world)
        self._changed = itertools.count()

    def __call__(self) -> None:
        server = self._server
        self._add("start-up", timed(server.start))
        self._add("start-up, CPU", cpu_seconds(server.pid) * 1000)
        self._add("memory after the start", memory_mib(server.pid, OWN))
        found = load(
            server.port, server.pid, "/v/vm/state", connections=1, seconds=SECONDS, key=key(1), vmid=self._vmid
        )
        self._add("state read by a user six groups deep, CPU", found.cpu)
        self._add("decision about a right, CPU", self._decide())
        client = server.client()
        self._add("first snapshot, CPU for each", self._cpu(self._snapshot) / objects(self._size))
        self._list(client, "VMs", "/v/vm/list", "vms")
        self._list(client, "media", "/m/media/list", "media")
        self._add("memory once all was listed", memory_mib(server.pid, OWN))
        with Readers(server.port, self._keys) as readers:
            took: list[float] = []
            used = self._cpu(lambda: took.extend(told(readers, self._change, client) for _ in range(CHANGES)))
        self._add(f"change told to {READERS} readers, CPU", used / CHANGES)
        self._add(f"change told to {READERS} readers, until the last has it", *took)
        server.stop()

    def _add(self, what: str, *values: float) -> None:
        self._bench.add(of(what, self._size), {**FLAT, **LINEAR, **OTHERS}[what], *values)

    def _cpu(self, work: Callable[[], object]) -> float:
        """Microseconds of the server's CPU, with all that the work sets going."""
        before = quiet(self._server.pid)
        work()
        return (quiet(self._server.pid) - before) * 1e6

    def _snapshot(self) -> None:
        with Readers(self._server.port, [self._server.key]):
            pass

    def _list(self, client: Client, what: str, path: str, field: str) -> None:
        """All of them, group by group; what is kept of a list is there already."""

        def all_groups(turns: int) -> None:
            for gid in [*range(1, self._world.groups + 1)] * turns:
                listed.extend(client.call("POST", path, gid=gid)[field])

        listed: list[object] = []
        all_groups(1)
        assert len(listed) == self._size, (what, len(listed))
        listed.clear()
        used = self._cpu(lambda: all_groups(-(-LISTED // self._size)))
        self._add(f"list of {what}, CPU for each", used / len(listed))

    def _change(self, client: Client) -> bytes:
        name = f"told {next(self._changed)}"
        client.call("PATCH", "/v/vm", vmid=self._vmid, name=name)
        return f'"{name}"'.encode()


def quiet(pid: int) -> float:
    """Wait until the process does nothing more; the seconds of CPU that it has had."""
    end = time.monotonic() + 10
    had = cpu_seconds(pid)
    while time.monotonic() < end:
        time.sleep(0.05)
        before, had = had, cpu_seconds(pid)
        if had - before < STILL:
            break
    return had


def told(readers: Readers, change: Callable[[Client], bytes], client: Client) -> float:
    """Milliseconds until the last reader has the change; then it is still for a moment."""
    took = timed(lambda: readers.until(change(client)))
    time.sleep(0.025)  # a stream gathers for 20 ms what comes at once
    return took


@dataclass(frozen=True)
class Owned:
    """A VM, as far as a decision looks at it."""

    gid: int


def decisions(data: Path, world: World) -> Callable[[], float]:
    """The decision alone, in this process, from the same database: microseconds of CPU, over all users."""
    database = Database(f"sqlite:///{data / 'velocity.db'}")
    changes = Changes()
    directory = Directory(changes)
    access = Access(
        SqlAccess(database),
        directory,
        DirectoryWriter(directory, changes),
        changes,
        Passwords(),
        SteadyClock(),
        lifetime=3600,
        owned={On.VM: lambda vmid: Owned(world.group_of(vmid - 1)) if isinstance(vmid, int) else None},
        belongings=(),
    )

    async def opened() -> None:
        await access.open("not asked for")
        await database.close()

    asyncio.run(opened())
    callers = [(access.sessions.caller(key(uid)), world.chain_of(uid)[-1]) for uid in range(1, world.users + 1)]

    def run() -> float:
        turns = DECISIONS // len(callers)
        begun = time.thread_time()
        for _ in range(turns):
            for caller, vmid in callers:
                access.admit(STATE.needs, caller, vmid)
        return (time.thread_time() - begun) / (turns * len(callers)) * 1e6

    return run


def floor(bench: Bench, bare: Bare) -> None:
    client = Client(bare.port)
    numbers = itertools.count()

    def change(client: Client) -> bytes:
        name = f"told {next(numbers)}"
        client.call("POST", "/tell", name=name, more="x" * 300)
        return f'"{name}"'.encode()

    with Readers(bare.port, [""] * READERS, "/events") as readers:
        before = cpu_seconds(bare.pid)
        took = [told(readers, change, client) for _ in range(CHANGES)]
        used = cpu_seconds(bare.pid) - before
    bench.add(f"change told to {READERS} readers, CPU: bare endpoint", "us", used / CHANGES * 1e6)
    bench.add(f"change told to {READERS} readers, until the last has it: bare endpoint", "ms", *took)


if __name__ == "__main__":
    main()
