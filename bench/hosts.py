"""One server leads 10, 30 and 100 hosts, with 100 VMs that run on each: what does a host cost it, and what a VM?

The hosts are nodes in one other process: real certificates and gRPC over loopback, hypervisor and storage in memory. So
what is measured of the server is all that it does for them, and nothing of what guests would take.

`python -m bench.hosts --each 10` has ten VMs on each. `--short` has few hosts and VMs, and takes a minute; its figures
are shown, and not kept.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import msgspec

from bench.harness import Bench, cpu_seconds, memory_mib, show, timed
from bench.readers import Readers
from bench.server import Client, Velocity, Wrong
from velocity.config import Settings
from velocity.contract.joining import NodeToken
from velocity.contract.nodes import Joined
from velocity.hypervisor.fake import FACTS, FakeHypervisor
from velocity.hypervisor.port import Hypervisor
from velocity.node import agent, joining
from velocity.node.agent import RunningNode
from velocity.storage.fake import connect
from velocity.storage.fake.pools import FakeHost
from velocity.storage.port import MediaFiles, Storage

BIG = replace(FACTS, max_cpus=64, memory=1 << 30)
RATE = 100
"""Changes in a second."""
FIRST_PORT = 21_000
"""Of the hosts: below those that the system gives to whoever connects to something."""
AT_ONCE = 8
"""Clients that create and start VMs."""
PATIENCE = 120.0


@dataclass(frozen=True)
class Form:
    """How much of everything. `still`: seconds for which the server is looked at while nobody asks it anything."""

    hosts: tuple[int, ...]
    each: int
    readers: int
    still: float
    changing: float


LONG = Form((10, 30, 100), each=100, readers=1000, still=20.0, changing=10.0)
SHORT = Form((3, 10), each=10, readers=50, still=10.0, changing=2.0)


def main() -> None:
    form = SHORT if "--short" in sys.argv else LONG
    if "--each" in sys.argv:
        form = replace(form, each=int(sys.argv[sys.argv.index("--each") + 1]))
    bench = Bench("hosts", f"one server with {form.hosts[0]} to {form.hosts[-1]} hosts")
    for count in form.hosts:
        with ExitStack() as stack:
            Installation(bench, form, count, stack).measure()
    most, least = form.hosts[-1], form.hosts[0]
    for what in ("CPU a second, for each host without VMs", "CPU a second, for each VM that runs", "a change, CPU"):
        bench.goal(of(what, most), of(what, least), factor=1.2)
    for what, unit in CURVES.items():
        for count in form.hosts:
            bench.point(what, unit, count, bench.median(of(what, count)))
    bench.notes.append(
        f"{form.each} VMs run on each host; {RATE} names are changed in a second, and told to {form.readers} readers; "
        "what the server takes without hosts, without VMs, or without changes is subtracted"
    )
    if "--short" in sys.argv:
        show(bench.outcome())
    else:
        bench.finish()


CURVES = {
    "CPU a second, for each host without VMs": "ms",
    "CPU a second, for each VM that runs": "ms",
    "a change, CPU": "us",
    "a change, CPU, for each reader": "us",
    "a start, until it runs": "ms",
    "memory of the server": "MiB",
}


def of(what: str, hosts: int) -> str:
    return f"{what}: {hosts} hosts"


class Installation:
    """A server with so many hosts, until the stack is left."""

    def __init__(self, bench: Bench, form: Form, count: int, stack: ExitStack) -> None:
        self._bench, self._form, self._count = bench, form, count
        self._server = stack.enter_context(Velocity(fake=True))
        self._alone = self._still()
        place = Path(tempfile.mkdtemp(prefix="velocity-hosts-"))
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        nodes = context.Process(target=serve, args=(place, self._server.port, self._server.key, count, theirs))
        nodes.start()
        stack.callback(nodes.join, PATIENCE)
        stack.callback(ours.send, "end")
        self._hosts: list[int] = ours.recv()
        self._client = self._server.client()

    def measure(self) -> None:
        self._until_all_answer()
        without_vms = self._still()
        self._add("CPU a second, for each host without VMs", (without_vms - self._alone) / self._count)
        vmids = self._vms()
        idle = self._still()
        self._add("CPU a second, for each VM that runs", (idle - without_vms) / len(vmids))
        untold, told = (self._change(vmids, readers, idle) for readers in (0, self._form.readers))
        self._add("a change, CPU", told)
        self._add("a change, CPU, for each reader", (told - untold) / self._form.readers)
        self._add("memory of the server", memory_mib(self._server.pid, "Private_Dirty"))

    def _add(self, what: str, *values: float) -> None:
        self._bench.add(of(what, self._count), CURVES[what], *values)

    def _until_all_answer(self) -> None:
        end = time.monotonic() + PATIENCE
        while any(one["state"] != "online" for one in self._client.call("POST", "/h/node/list")["nodes"]):
            assert time.monotonic() < end, "not all hosts answer"
            time.sleep(0.5)

    def _still(self) -> float:
        """Milliseconds of CPU in a second while nobody asks."""
        before = cpu_seconds(self._server.pid)
        time.sleep(self._form.still)
        return (cpu_seconds(self._server.pid) - before) * 1000 / self._form.still

    def _vms(self) -> list[int]:
        """They run, the same number on each host."""
        late: list[str] = []

        def patiently(client: Client, path: str, **fields: Any) -> Any:
            """Again where a host is late: here they all share one process, and half a processor."""
            end = time.monotonic() + PATIENCE
            while True:
                try:
                    return client.call("PUT", path, **fields)
                except Wrong as error:
                    if "respond" not in str(error) or time.monotonic() > end:
                        raise
                    late.append(path)
                    time.sleep(0.5)

        def run(numbered: list[tuple[int, int]]) -> list[int]:
            client, made = self._server.client(), []
            for number, host in numbered:
                body = {"name": f"vm {number}", "gid": 0, "cpus": 1, "memory_mib": 64, "host": host}
                vmid = patiently(client, "/v/vm/efi", **body)["vmid"]
                started = timed(lambda vmid=vmid: patiently(client, "/v/vm/state", vmid=vmid, state="RUNNING"))  # type: ignore[misc]
                self._add("a start, until it runs", started)
                made.append(vmid)
            return made

        wanted = list(enumerate(self._hosts * self._form.each))
        with ThreadPoolExecutor(AT_ONCE) as threads:
            made = list(itertools.chain(*threads.map(run, [wanted[at::AT_ONCE] for at in range(AT_ONCE)])))
        if late:
            self._bench.notes.append(f"{self._count} hosts: {len(late)} requests were asked again, as a host was late")
        return made

    def _change(self, vmids: list[int], who_read: int, idle: float) -> float:
        """At an even rate, as far as the server keeps up; each is told to all who read. Microseconds of CPU for one.

        Without the `idle` milliseconds of each second that the server takes anyway.
        """
        wanted = int(RATE * self._form.changing)
        with Readers(self._server.port, [self._server.key] * who_read) as readers:
            before, begun = cpu_seconds(self._server.pid), time.perf_counter()
            for number in range(wanted):
                name = f"changed {number} for {who_read}"
                self._client.call("PATCH", "/v/vm", vmid=vmids[number % len(vmids)], name=name)
                if number < wanted - 1:  # the last one is waited for
                    readers.drain()
                time.sleep(max(0.0, begun + (number + 1) / RATE - time.perf_counter()))
            readers.until(f'"{name}"'.encode())
            took = time.perf_counter() - begun
            used = cpu_seconds(self._server.pid) - before
        self._bench.notes.append(
            f"{self._count} hosts, {who_read} readers: {wanted / took:.0f} changes in a second were made and told"
        )
        return (used * 1000 - idle * took) * 1000 / wanted


def serve(place: Path, port: int, key: str, count: int, tell: Pipe) -> None:
    """The process of the hosts: they join, tell their ids, and serve until they are told to end."""

    async def run() -> None:
        client = Client(port, key)
        ports = (port for port in itertools.count(FIRST_PORT) if is_free(port))
        nodes = [join(client, place, f"host{number}", next(ports), in_memory) for number in range(count)]
        running = [await begin() for begin, _ in nodes]
        tell.send([joined.host for _, joined in nodes])
        await asyncio.to_thread(tell.poll, None)
        for one in running:
            await one.close()

    asyncio.run(run())


def in_memory(settings: Settings) -> Storage:
    """The pools that a host has by joining, and that of its firmware variables."""
    return connect(FakeHost((0, "own"), *((one.mpid, one.name) for one in settings.media_pools)))


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


Begin = Callable[[], Coroutine[object, object, RunningNode]]


def join(
    client: Client, place: Path, name: str, port: int, storage: Callable[[Settings], Storage]
) -> tuple[Begin, Joined]:
    """What begins to serve it, and what the server has answered."""
    settings = Settings(data_dir=place / name, node_listen=f"127.0.0.1:{port}")
    token = NodeToken.read(client.call("PUT", "/h/node/token")["token"])
    draft = joining.begin(settings.data_dir, token)
    asked = joining.asked(draft, token, name, settings.node_listen)
    answer = msgspec.convert(client.call("PUT", "/h/node/join", **msgspec.to_builtins(asked)), Joined)
    own = joining.accept(settings.data_dir, draft, token, answer)

    async def driver(_media: MediaFiles) -> Hypervisor:
        return FakeHypervisor(BIG)

    return lambda: agent.begin(settings, own, driver, storage), answer


if __name__ == "__main__":
    main()
