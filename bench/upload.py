"""A file of 1 GiB, up and down, beside nginx on the same file system, and beside a copy of it.

An upload to Velocity is on the disk when it is answered. nginx leaves that to the kernel: its upload is measured as it
is, and with the file synced after it. The same client sends to both and reads from both.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench.actors import Pulse
from bench.files import fill, get, medium, put
from bench.harness import Absent, Bench, cpu_seconds, timed
from bench.peers.nginx import Nginx
from bench.server import Velocity

SIZE = 1 << 30
ROUNDS = 3
IDLE = 1.0
"""Seconds for which states are read while nothing else goes on."""
UP, DOWN = "upload of 1 GiB", "download of 1 GiB"
CPU, GROWN, READ = "upload's CPU", "memory that an upload takes", "state read's p99"
BOUNDS = ((CPU, "s", 1.3), (GROWN, "MiB", 8.0))


def main() -> None:
    bench = Bench("upload", "a file of 1 GiB, up and down")
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="velocity-bench-")))
        source = home / "source"
        fill(source, SIZE)
        server = stack.enter_context(Velocity())
        files = Files(bench, server, source)
        contestants = [files.up, files.down, lambda: copied(bench, source)]
        whiles: dict[str, Callable[[], object]] = {"an upload to Velocity": files.come_and_go}
        try:
            nginx = stack.enter_context(Nginx(home / "nginx"))
            bench.versions["nginx"] = nginx.version
            contestants += [lambda: up(bench, nginx, source), lambda: down(bench, nginx, source)]
            whiles["an upload to nginx"] = lambda: to_nginx(nginx, source).unlink()
        except Absent as error:
            bench.absent["nginx"] = str(error)
        vmid = server.reference_vm(server.client(), "read", disk=False)
        bench.rounds(ROUNDS, [*contestants, lambda: reads(bench, server, vmid, whiles)], seconds=100)
    for what, unit, most in BOUNDS:
        bound = f"bound: {most:g} {unit}"
        bench.add(bound, unit, most)
        bench.goal(f"{what}: Velocity", bound, factor=1)
    bench.goal(f"{UP}: Velocity", f"{UP}: nginx, synced", factor=1)
    bench.goal(f"{UP}: Velocity", f"{UP}: nginx", factor=1)
    bench.goal(f"{DOWN}: Velocity", f"{DOWN}: nginx", factor=1)
    bench.goal(f"{READ}, an upload to Velocity meanwhile", f"{READ}, idle", factor=3)
    bench.finish()


class Files:
    """Velocity's turns."""

    def __init__(self, bench: Bench, server: Velocity, source: Path) -> None:
        self._bench = bench
        self._server = server
        self._source = source
        self._client = server.client()
        self._numbers = itertools.count()
        self._kept = self._come()

    def _come(self) -> str:
        headers = medium(self._server.key, f"file {next(self._numbers)}")
        return str(json.loads(put(self._server.port, "/m/media/upload", self._source, headers))["mid"])

    def _go(self, mid: str) -> None:
        self._client.call("DELETE", "/m/media", mid=mid, purge=True)

    def come_and_go(self) -> None:
        self._go(self._come())

    def up(self) -> None:
        pid = self._server.pid
        before, resident = cpu_seconds(pid), now_resident(pid)
        mids: list[str] = []
        self._bench.add(f"{UP}: Velocity", "ms", timed(lambda: mids.append(self._come())))
        self._bench.add(f"{CPU}: Velocity", "s", (cpu_seconds(pid) - before) * (1 << 30) / SIZE)
        self._bench.add(f"{GROWN}: Velocity", "MiB", most_resident(pid) - resident)
        self._go(mids[0])

    def down(self) -> None:
        pid = self._server.pid
        before, resident = cpu_seconds(pid), now_resident(pid)
        bearer = {"authorization": f"Bearer {self._server.key}"}
        path = f"/m/media/content/{self._kept}"
        self._bench.add(f"{DOWN}: Velocity", "ms", timed(lambda: whole(get(self._server.port, path, bearer))))
        self._bench.add("download's CPU: Velocity", "s", cpu_seconds(pid) - before)
        self._bench.add("memory that a download takes: Velocity", "MiB", most_resident(pid) - resident)


def whole(came: int) -> None:
    if came != SIZE:
        raise AssertionError(f"{came} bytes came of {SIZE}")


def now_resident(pid: int) -> float:
    """MiB, from which on `most_resident` counts. proc(5), clear_refs"""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return most_resident(pid)


def most_resident(pid: int) -> float:
    """MiB. proc(5), status: VmHWM"""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))


def to_nginx(nginx: Nginx, source: Path) -> Path:
    """It must go before the next one comes: ext4 writes a file to the disk that takes the place of another. ext4(5)"""
    put(nginx.port, "/came", source, {})
    return nginx.files / "came"


def up(bench: Bench, nginx: Nginx, source: Path) -> None:
    before = cpu_seconds(nginx.pid)
    found: list[Path] = []
    took = timed(lambda: found.append(to_nginx(nginx, source)))
    bench.add(f"{UP}: nginx", "ms", took)
    bench.add(f"{CPU}: nginx", "s", cpu_seconds(nginx.pid) - before)
    bench.add(f"{UP}: nginx, synced", "ms", took + timed(lambda: synced(found[0])))
    found[0].unlink()


def down(bench: Bench, nginx: Nginx, source: Path) -> None:
    file = nginx.files / "goes"
    if not file.exists():
        os.link(source, file)
    before = cpu_seconds(nginx.pid)
    bench.add(f"{DOWN}: nginx", "ms", timed(lambda: whole(get(nginx.port, "/goes", {}))))
    bench.add("download's CPU: nginx", "s", cpu_seconds(nginx.pid) - before)


def copied(bench: Bench, source: Path) -> None:
    """The floor: the same bytes, from the page cache to the disk."""
    copy = source.with_name("copy")

    def work() -> None:
        shutil.copyfile(source, copy)
        synced(copy)

    bench.add(f"{UP}: a copy, synced", "ms", timed(work))
    copy.unlink()


def synced(file: Path) -> None:
    descriptor = os.open(file, os.O_RDWR)
    os.fdatasync(descriptor)
    os.close(descriptor)


def reads(bench: Bench, server: Velocity, vmid: int, whiles: dict[str, Callable[[], object]]) -> None:
    """In turns of their own: what is read takes something from an upload, too."""
    with Pulse(server, vmid) as idle:
        time.sleep(IDLE)
    bench.add(f"{READ}, idle", "ms", idle.p99)
    for what, work in whiles.items():
        with Pulse(server, vmid) as meanwhile:
            work()
        bench.add(f"{READ}, {what} meanwhile", "ms", meanwhile.p99)


if __name__ == "__main__":
    main()
