"""A start and a forced stop by the driver itself, and by the same driver on a node, over gRPC with mutual TLS.

Both drive QEMU on this machine; the node is a process of its own, as on another host.
"""

from __future__ import annotations

import asyncio
import datetime
import multiprocessing
import os
import shutil
import tempfile
import time
from contextlib import ExitStack
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from uuid import UUID, uuid4

from bench.harness import Bench, memory_mib
from velocity.config import Settings
from velocity.hypervisor.port import DisplaySpec, HostId, Hypervisor, Incarnation, MachineSpec, Stop
from velocity.hypervisor.qemu.driver import QemuHypervisor
from velocity.hypervisor.qemu.options import options
from velocity.node.certificates import Authority
from velocity.node.names import CONTROLLER, Identity, node_name
from velocity.node.remote import Connection, hypervisor
from velocity.node.server import Node
from velocity.node.terms import Terms
from velocity.storage.declared import open_directories
from velocity.storage.directory.places import host_places

ROUNDS = 20
HOST = HostId(1)
DEADLINE = 30.0
NAME = node_name(UUID(int=1), 1)
SIDES = {"the driver": 40_000, "the driver on a node": 41_000}
"""Each with uids of its own, from this one on."""


async def driver(place: Path, uid_base: int) -> QemuHypervisor:
    made = options(Settings(data_dir=place, runtime_dir=str(place / "run"), uid_base=uid_base))
    storage = open_directories([host_places(place)], None)
    one = QemuHypervisor(made, storage.files)
    await one.prepare()
    return one


def serve(place: Path, own: Identity, tell: Pipe) -> None:
    """The node's process. It ends when nobody listens any more."""

    async def run() -> None:
        inner = await driver(place, SIDES["the driver on a node"])
        node = Node(inner, lambda: open_directories([host_places(place)], None), Terms(place / "node.json"))
        server, port = await node.listen("127.0.0.1:0", lambda: own)
        tell.send(port)
        await asyncio.to_thread(tell.poll, None)
        await server.stop(0)
        await node.close()
        await inner.machines.close()

    asyncio.run(run())


async def start_and_stop(bench: Bench, side: str, one: Hypervisor) -> None:
    about = one.hosts.about(HOST)
    spec = MachineSpec(
        "vm", 1, 256, about.machine_type, about.firmware, displays=(DisplaySpec("screen", 1024, 768),),
        hardware=about.hardware[-1].name,
    )  # fmt: skip
    who = Incarnation(uuid4(), HOST, 1)
    begun = time.perf_counter()
    await one.machines.start(who, spec, deadline=DEADLINE)
    started = time.perf_counter()
    await one.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    bench.add(f"start: {side}", "ms", (started - begun) * 1000)
    bench.add(f"forced stop: {side}", "ms", (time.perf_counter() - started) * 1000)
    await one.machines.acknowledge(who, deadline=DEADLINE)
    await one.machines.forget(HOST, who.machine, deadline=DEADLINE)


def main() -> None:
    bench = Bench("node", "start and forced stop of a machine, by the driver and over a node")
    with ExitStack() as stack:
        places = [Path(tempfile.mkdtemp(prefix="vel-")) for _ in SIDES]
        for place in places:
            place.chmod(0o711)  # guests' uids look into it
            stack.callback(shutil.rmtree, place, ignore_errors=True)
        now = datetime.datetime.now(datetime.UTC)
        authority = Authority.make(now)
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        node = multiprocessing.get_context("spawn").Process(
            target=serve, args=(places[1], authority.identity(NAME, now), theirs)
        )
        node.start()
        stack.callback(node.join, DEADLINE)
        stack.callback(ours.send, "end")
        address = f"127.0.0.1:{ours.recv()}"
        loop = asyncio.new_event_loop()
        local = loop.run_until_complete(driver(places[0], SIDES["the driver"]))
        to = loop.run_until_complete(_connect(address, authority.identity(CONTROLLER, now)))
        remote = hypervisor(to, local.hosts.about(HOST))
        for one in (local, remote):
            loop.run_until_complete(one.machines.adopt(HOST, deadline=DEADLINE))

        def taking(side: str, one: Hypervisor) -> None:
            loop.run_until_complete(start_and_stop(bench, side, one))

        sides = dict(zip(SIDES, (local, remote), strict=True))
        bench.rounds(ROUNDS, [lambda side=side, one=one: taking(side, one) for side, one in sides.items()])  # type: ignore[misc]
        assert node.pid is not None
        bench.add("memory: the node", "MiB", memory_mib(node.pid))
        bench.add("bound: 64 MiB", "MiB", 64.0)
        loop.run_until_complete(to.close())
        loop.run_until_complete(local.machines.close())
    bench.goal("start: the driver on a node", "start: the driver", factor=1.15)
    bench.goal("forced stop: the driver on a node", "forced stop: the driver", factor=1.15)
    bench.goal("memory: the node", "bound: 64 MiB", factor=1)
    bench.finish()


async def _connect(address: str, own: Identity) -> Connection:
    return Connection(address, NAME, own, lambda: 1)


if __name__ == "__main__":
    os.umask(0o022)
    main()
