"""What the thread of the loop never does, as nobody knows how long it takes: counted by the thread, not by a clock."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from tests.api.images import wait
from tests.api.world import World
from tests.hypervisor.qemu.test_serial import Guest
from tests.patience import PATIENCE
from tests.ports.subjects import HOST, NoMedia
from velocity.api import openmetrics
from velocity.hypervisor.port import Fact, Incarnation, Unknown
from velocity.hypervisor.qemu.directories import HostDirectories
from velocity.hypervisor.qemu.driver import QemuHypervisor
from velocity.hypervisor.qemu.options import Options
from velocity.hypervisor.qemu.process_watch import Mounts
from velocity.hypervisor.qemu.processes import start_time
from velocity.hypervisor.qemu.run_note import Run
from velocity.hypervisor.qemu.runs import Runs
from velocity.hypervisor.qemu.serial import SerialHub
from velocity.hypervisor.qemu.serial_input import INPUT
from velocity.hypervisor.qemu.seriallog import LOG_LIMIT, SerialLog
from velocity.hypervisor.qemu.spool import bounds
from velocity.hypervisor.qemu.watched_run import WatchedRun

pytestmark = pytest.mark.anyio

SLOW = frozenset({
    "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate", "shutil.rmtree", "subprocess.Popen",
})  # fmt: skip
MAKES = os.O_CREAT | os.O_TRUNC


class Done:
    """What was done of it: on the thread of the loop, and on others."""

    def __init__(self) -> None:
        self.loop = threading.get_ident()
        self.here: list[str] = []
        self.elsewhere: list[str] = []

    def note(self, event: str, what: object) -> None:
        (self.here if threading.get_ident() == self.loop else self.elsewhere).append(f"{event} {what}")

    def names(self) -> set[str]:
        return {one.partition(" ")[0] for one in self.elsewhere}


_noting: list[Done] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if _noting and (event in SLOW or (event == "open" and isinstance(arguments[2], int) and arguments[2] & MAKES)):
        for done in _noting:
            done.note(event, arguments[0])


sys.addaudithook(_hear)  # it stays, as there is no way to take one away


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch, anyio_backend: str) -> Iterator[Done]:
    """Python itself tells of each call; of those to flush, it does not."""
    made = Done()

    def noting(name: str) -> Callable[[int], None]:
        flush = getattr(os, name)

        def noted(descriptor: int) -> None:
            made.note(name, descriptor)
            flush(descriptor)

        return noted

    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, noting(name))
    yield made
    _noting.clear()


def begin(done: Done) -> None:
    _noting.append(done)


async def test_the_life_of_media_is_not_on_the_loop(w: World, done: Done) -> None:
    begin(done)
    await w.medium("blank")
    qcow2 = await w.medium("image", format="qcow2")
    mid = (await w.upload(b"x" * 4096))["mid"]
    assert (await w.upload(b"short", content_length="9", x_velocity_name="short")).code == 9210
    for one, purge in ((mid, False), (qcow2, True)):
        await w.ok("DELETE", "/m/media", mid=one, purge=purge)
    trid = (await w.ok("POST", "/t/trash/list"))["items"][0]["trid"]
    await w.ok("PUT", "/t/trash", trid=trid)
    await w.ok("POST", "/m/pool/list", gid=0)
    assert done.here == []
    assert done.names() >= {"open", "os.remove", "os.rename", "subprocess.Popen", "fsync", "fdatasync"}


async def test_imports_and_clones_are_not_on_the_loop(w: World, done: Done) -> None:
    mid = await w.medium("blank")
    begin(done)
    for number, format_ in enumerate(("raw", "qcow2")):
        wanted = {"mid": mid, "mpid": 1, "gid": 0, "name": f"clone {number}", "format": format_}
        task = await wait(w, await w.ok("PUT", "/m/media/clone", **wanted))
        assert task["state"] == "DONE", task
    here = [one for one in done.here if "Popen" not in one]
    assert here == [], "but for a process, which begins there"
    assert done.names() >= {"open", "os.rename", "fsync"}


async def test_the_text_of_the_metrics_is_not_made_on_the_loop(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def noted(*what: Any, make: Any = openmetrics.text_of) -> Any:
        made.append(threading.get_ident())
        return make(*what)

    monkeypatch.setattr(openmetrics, "text_of", noted)
    await w.vm("seen")
    answer = await w.http.get("http://velocity/metrics", headers={"authorization": f"Bearer {w.key}"})
    assert 'velocity_vm_cpus{gid="0",name="seen"' in answer.text
    assert len(made) == 1
    assert made != [threading.get_ident()]


class Ran:
    """A driver, and a run of it whose process is not QEMU: the driver sees its end, and clears what it leaves."""

    def __init__(self, data: Path, runtime: Path) -> None:
        self.driver = QemuHypervisor(Options(data, runtime, "tcg", None), NoMedia(data))
        self.runtime = runtime
        self.runs = Runs(runtime, "here", None)
        self.runs.open()
        self.place = HostDirectories(
            "qemu", "tcg", data, data / "machines", self.runs, NoMedia(data), privileged=False, bounds=bounds(data)
        )
        self.driver.watched.place = self.place
        self.process = subprocess.Popen(["sleep", "1000"])
        self.who = Incarnation(uuid4(), HOST, 1)
        self.run = self._begun()
        for number in range(10):
            (self.runs.own(self.who.machine) / f"left {number}").touch()
        self.state = self.place.state / str(self.who.machine)
        self.state.mkdir(parents=True)
        (self.state / "serial.1.0.0.log").write_bytes(b"said")

    def _begun(self) -> Run:
        run = self.runs.begin(self.who.machine, 1, nat=False)
        pid = self.process.pid
        run = msgspec.structs.replace(run, pid=pid, started=start_time(pid) or 0)
        self.runs.write(run)
        return run


@pytest.fixture
def ran(tmp_path: Path, runtime: Path) -> Iterator[Ran]:
    made = Ran(tmp_path, runtime)
    yield made
    made.process.kill()
    made.process.wait()


def watched(ran: Ran) -> WatchedRun:
    """It runs, as after its start."""
    ran.driver.watched.open()
    qemu = ran.driver.watched.watch(ran.who, ran.run)
    qemu.begun = True
    return qemu


async def test_what_a_run_leaves_is_not_cleared_on_the_loop(ran: Ran, done: Done) -> None:
    qemu = watched(ran)
    begin(done)
    os.kill(ran.process.pid, signal.SIGKILL)
    await qemu.ended.wait()
    (note,) = ran.runs.directory(ran.who.machine).iterdir()
    assert b'"why":"killed"' in note.read_bytes()
    await ran.driver.machines.acknowledge(ran.who, deadline=30)
    assert not ran.runs.directory(ran.who.machine).exists()
    await ran.driver.machines.forget(HOST, ran.who.machine, deadline=30)
    assert not ran.state.exists()
    assert done.here == []
    assert sum(one.startswith("os.remove") for one in done.elsewhere) == 12, "its files, the note of it, its log"


async def test_a_run_has_not_ended_before_it_is_cleared(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    """Held in the middle: nothing runs there any more, and nothing else may begin yet.

    Until then its mounts are there, and the kernel needs not take them apart before it tells of the end.
    """
    began, go_on, clear = threading.Event(), threading.Event(), ran.driver.watched.clear
    kept: list[tuple[int, int]] = []

    def held(run: Run, mounts: Mounts) -> None:
        began.set()
        assert go_on.wait(PATIENCE)
        there = os.fstat(mounts.fileno()).st_ino
        clear(run, mounts)
        kept.append((there, mounts.fileno()))

    monkeypatch.setattr(ran.driver.watched, "clear", held)
    qemu = watched(ran)
    qemu.kill()
    await asyncio.to_thread(began.wait, PATIENCE)
    assert not qemu.ended.is_set()
    (found,) = (await ran.driver.machines.adopt(HOST, deadline=30)).found
    assert found.fact is Fact.SILENT, "how it ended is not known yet"
    with pytest.raises(Unknown):
        await ran.driver.machines.facts(ran.who, deadline=0.1)
    assert await ran.driver.hosts.confinement(ran.who, deadline=30) is None
    assert ran.driver.watched.of(ran.who.machine) is qemu
    go_on.set()
    await qemu.ended.wait()
    assert ran.driver.watched.of(ran.who.machine) is None
    assert (await ran.driver.machines.facts(ran.who, deadline=30)).fact is Fact.ENDED
    assert kept == [(Path("/proc/self/ns/mnt").stat().st_ino, -1)], "those of its process, which are ours here"


async def test_half_of_a_cleared_run_is_none(ran: Ran) -> None:
    """A crash comes while its files are removed: the next server finds no run, and no word of how it ended."""
    Runs(ran.runtime, "here", None, remove=lambda _directory: None).end(ran.run)
    left = sorted(file.name for file in ran.runs.directory(ran.who.machine).iterdir())
    assert left == ["own"]
    assert list(ran.runs.all()) == []
    ran.runs.open()  # the next server's
    assert not ran.runs.directory(ran.who.machine).exists()


async def test_a_console_is_not_kept_on_the_loop(tmp_path: Path, done: Done) -> None:
    limits = bounds(tmp_path)
    guest = Guest(tmp_path, limits)
    os.mkfifo(tmp_path / INPUT)
    hub = SerialHub(tmp_path, limits, 1, SerialLog(tmp_path), guest)
    begin(done)
    await hub.connect()
    guest.say(b"x" * (2 * LOG_LIMIT))
    for _ in range(2):
        await hub.keep()
        guest.say(b"more")
    await hub.close()
    assert done.here == []
    assert done.names() == {"open", "os.truncate", "os.remove"}
    guest.close()
