"""What trouble with one host costs everybody else: states are read, and VMs of another host start, meanwhile.

The server leads two other hosts, each a process: real certificates and gRPC over loopback, VMs in memory, files in
directories. One of them stands still, as if its network were cut; or it gets a file, or a copy of one.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

from bench.actors import Actor, percentile
from bench.files import fill, medium, put
from bench.harness import Bench, cpu_seconds, timed
from bench.hosts import join
from bench.server import Client, Velocity, free_port
from velocity.cli.node_serve import ARENAS
from velocity.cli.process import keep_memory
from velocity.storage.declared import directories

ROUNDS = 5
CUT = 6.0
"""Seconds for which nothing else goes on, and for which a host stands still: after two of them it is known."""
FILE = 256 << 20
PATIENCE = 60.0
READ, START = "state read", "start and forced stop on another host"
STILL, LOST, UPLOAD, COPY = "nothing else", "a host is lost", "256 MiB go to a host", "a copy goes to a host"
GOALS = {LOST: 5, UPLOAD: 3, COPY: 3}


def main() -> None:
    bench = Bench("distant", "trouble with one host, and everybody else")
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="velocity-bench-")))
        fill(place / "file", FILE)
        server = stack.enter_context(Velocity(fake=True))
        hosts = [Host(server, place, f"host{number}", stack) for number in range(2)]
        distant = Distant(bench, server, hosts, place / "file")
        bench.rounds(ROUNDS, [distant.still, distant.lost, distant.upload, distant.copy], seconds=240)
    for meanwhile, factor in GOALS.items():
        for what in (READ, START):
            bench.goal(f"{what}, p99: {meanwhile}", f"{what}, p99: {STILL}", factor=factor)
    bench.add("bound: 2.5 s", "s", 2.5)
    bench.goal("a GiB to a host, CPU of both ends", "bound: 2.5 s", factor=1)
    bench.notes.append("starts are so few in a round that their 99th percentile is the slowest one")
    bench.finish()


class Host:
    """One that has joined, in a process of its own, until the stack is left."""

    def __init__(self, server: Velocity, place: Path, name: str, stack: ExitStack) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(place, server.port, server.key, name, theirs))
        process.start()
        stack.callback(process.join, PATIENCE)
        stack.callback(ours.send, "end")
        self.host, self.mpid = ours.recv()
        assert process.pid is not None
        self.pid = process.pid
        self._client = server.client()
        self.until("online")

    def until(self, state: str) -> None:
        end = time.monotonic() + PATIENCE
        while self._client.call("POST", "/h/node", host=self.host)["state"] != state:
            assert time.monotonic() < end, f"host {self.host} is not {state}"
            time.sleep(0.1)


class Distant:
    """The first host has the trouble, the second one the VMs that are started."""

    def __init__(self, bench: Bench, server: Velocity, hosts: list[Host], file: Path) -> None:
        self._bench = bench
        self._server = server
        self._troubled, other = hosts
        self._file = file
        self._client = server.client()
        self._numbers = itertools.count()
        own, there = (self._vm(host) for host in (1, other.host))
        self._client.call("PUT", "/v/vm/state", vmid=own, state="RUNNING")
        at = {"port": server.port, "key": server.key}
        self._actors = {
            READ: Actor("read", **at, path="/v/vm/state", vmid=own),
            START: Actor("start", **at, vmid=there),
        }
        self._kept = self._come(1)

    def _vm(self, host: int) -> int:
        body = {"name": f"on {host}", "gid": 0, "cpus": 1, "memory_mib": 64, "host": host}
        return int(self._client.call("PUT", "/v/vm/efi", **body)["vmid"])

    def _meanwhile(self, what: str, work: Callable[[], object]) -> None:
        with ExitStack() as acting:
            for actor in self._actors.values():
                acting.enter_context(actor)
            work()
        for name, actor in self._actors.items():
            for share in (50, 99):
                self._bench.add(f"{name}, p{share}: {what}", "ms", percentile(actor.ms, share))

    def still(self) -> None:
        self._meanwhile(STILL, lambda: time.sleep(CUT))

    def lost(self) -> None:
        """It is one of two others: nothing is fenced, and it is found as it was."""
        os.kill(self._troubled.pid, signal.SIGSTOP)
        try:
            self._meanwhile(LOST, lambda: time.sleep(CUT))
            self._troubled.until("unreachable")
        finally:
            os.kill(self._troubled.pid, signal.SIGCONT)
        self._troubled.until("online")

    def upload(self) -> None:
        mids: list[str] = []
        ends = (self._server.pid, self._troubled.pid)
        before = sum(map(cpu_seconds, ends))
        self._bench.add("an upload of 256 MiB to a host", "ms", timed(lambda: mids.append(self._come())))
        used = sum(map(cpu_seconds, ends)) - before
        self._bench.add("a GiB to a host, CPU of both ends", "s", used * (1 << 30) / FILE)
        self._go(mids.pop())
        self._meanwhile(UPLOAD, lambda: mids.append(self._come()))
        self._go(mids.pop())

    def copy(self) -> None:
        """Of a file of the server's own host."""

        def made() -> None:
            body = {"mid": self._kept, "gid": 0, "name": self._name(), "mpid": self._troubled.mpid}
            tid = self._client.call("PUT", "/m/media/clone", **body)["tid"]
            while (now := self._client.call("POST", "/t/task", tid=tid))["state"] == "RUNNING":
                time.sleep(0.05)
            assert now["state"] == "DONE", now
            mids.append(now["mid"])

        mids: list[str] = []
        self._meanwhile(COPY, made)
        self._go(mids.pop())

    def _name(self) -> str:
        return f"file {next(self._numbers)}"

    def _come(self, mpid: int | None = None) -> str:
        headers = medium(self._server.key, self._name())
        headers["x-velocity-mpid"] = str(mpid or self._troubled.mpid)
        answer: dict[str, Any] = json.loads(put(self._server.port, "/m/media/upload", self._file, headers))
        return str(answer["mid"])

    def _go(self, mid: str) -> None:
        self._client.call("DELETE", "/m/media", mid=mid, purge=True)


def serve(place: Path, port: int, key: str, name: str, tell: Pipe) -> None:
    """The process of a host: it joins, tells its id and its pool's, and serves until it is told to end."""

    async def run() -> None:
        keep_memory(ARENAS)  # as `velocity node serve` does
        begin, joined = join(Client(port, key), place, name, free_port(), directories)
        running = await begin()
        tell.send((joined.host, joined.mpid))
        await asyncio.to_thread(tell.poll, None)
        await running.close()

    asyncio.run(run())


if __name__ == "__main__":
    main()
