"""The law of the port about consoles, pictures, what machines take and what their host says, with QEMU's firmware."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from tests.patience import BOOT, PATIENCE, asked_until, at_last
from tests.ports.subjects import DEADLINE, HOST, Listener, NoMedia, machine, next_run, spec, until
from tests.processes import open_files, state
from velocity.config import Settings
from velocity.hypervisor.port import (
    DisplayConsole,
    Fact,
    FactCause,
    Hypervisor,
    Incarnation,
    MachineSpec,
    NoAgent,
    NotRunning,
    SerialConsole,
    Stop,
    Unknown,
)
from velocity.hypervisor.qemu.driver import QemuHypervisor
from velocity.hypervisor.qemu.options import options

pytestmark = pytest.mark.anyio


async def test_consoles(hypervisor: Hypervisor) -> None:
    who = machine()
    await hypervisor.machines.start(who, spec(hypervisor), deadline=DEADLINE)
    serial = await hypervisor.consoles.open(who, SerialConsole(), deadline=DEADLINE)
    screen = await hypervisor.consoles.open(who, DisplayConsole(0), deadline=DEADLINE)
    await serial.write(b"x")
    assert await asyncio.wait_for(serial.read(), BOOT)
    await screen.write(b"")
    await screen.close()
    await hypervisor.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    while await asyncio.wait_for(serial.read(), DEADLINE):
        pass  # what was said until the end, and then the end
    with pytest.raises(NotRunning):
        await hypervisor.consoles.open(who, SerialConsole(), deadline=DEADLINE)


async def test_pictures(hypervisor: Hypervisor) -> None:
    who = machine()
    await hypervisor.machines.start(who, spec(hypervisor, held=True), deadline=DEADLINE)
    ours = Counter(open_files(os.getpid()))
    await hypervisor.screens.shot(who, 0, deadline=DEADLINE)  # also before its first instruction
    await hypervisor.machines.resume(who, deadline=DEADLINE)
    first, second = await asyncio.gather(*(hypervisor.screens.shot(who, 0, deadline=DEADLINE) for _ in range(2)))
    for picture in (first, second):
        with Image.open(io.BytesIO(picture), formats=["PPM"]) as opened:
            assert opened.mode == "RGB"
            opened.load()
    left = Counter(open_files(os.getpid()))
    assert left <= ours, "a picture leaves nothing open; what others had open may be closed meanwhile"
    await hypervisor.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    with pytest.raises(NotRunning):
        await hypervisor.screens.shot(who, 0, deadline=DEADLINE)


async def test_what_was_said_is_kept(hypervisor: Hypervisor) -> None:
    who = machine()
    assert await hypervisor.consoles.said(HOST, who.machine, 100, deadline=DEADLINE) == b""
    await hypervisor.machines.start(who, spec(hypervisor), deadline=DEADLINE)
    one = await hypervisor.consoles.open(who, SerialConsole(), deadline=DEADLINE)
    await one.write(b"x")
    begun = await asyncio.wait_for(one.read(), BOOT)
    again = await hypervisor.consoles.open(who, SerialConsole(), deadline=DEADLINE)
    assert (await asyncio.wait_for(again.read(), BOOT)).startswith(begun), "a stream begins with what was said"
    await hypervisor.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    said = await hypervisor.consoles.said(HOST, who.machine, 1 << 20, deadline=DEADLINE)
    assert begun in said
    assert await hypervisor.consoles.said(HOST, who.machine, 3, deadline=DEADLINE) == said[-3:]
    await hypervisor.machines.start(next_run(who), spec(hypervisor, held=True), deadline=DEADLINE)
    assert begun in await hypervisor.consoles.said(HOST, who.machine, 1 << 20, deadline=DEADLINE), "of earlier runs too"
    fresh = await hypervisor.consoles.open(next_run(who), SerialConsole(), deadline=DEADLINE)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(fresh.read(), 0.1)  # this run has said nothing yet
    await hypervisor.machines.stop(next_run(who), Stop.NOW, deadline=DEADLINE)
    await hypervisor.machines.forget(HOST, who.machine, deadline=DEADLINE)
    assert await hypervisor.consoles.said(HOST, who.machine, 100, deadline=DEADLINE) == b""


async def test_confinement_is_known_while_it_runs(hypervisor: Hypervisor) -> None:
    who = machine()
    assert await hypervisor.hosts.confinement(who, deadline=DEADLINE) is None
    await hypervisor.machines.start(who, spec(hypervisor), deadline=DEADLINE)
    holds = await hypervisor.hosts.confinement(who, deadline=DEADLINE)
    assert holds is not None
    assert holds.no_new_privileges
    await hypervisor.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    assert await hypervisor.hosts.confinement(who, deadline=DEADLINE) is None


async def test_of_machines_without_bridged_nics_the_host_hears_nothing(hypervisor: Hypervisor) -> None:
    who = machine()
    await hypervisor.machines.start(who, spec(hypervisor), deadline=DEADLINE)
    assert list(await hypervisor.hosts.neighbours(HOST, deadline=DEADLINE)) == []
    await hypervisor.machines.stop(who, Stop.NOW, deadline=DEADLINE)


async def test_what_it_takes(hypervisor: Hypervisor) -> None:
    who = machine()
    with pytest.raises(NotRunning):
        await hypervisor.meters.measure(who, deadline=DEADLINE)
    await hypervisor.machines.start(who, spec(hypervisor), deadline=DEADLINE)
    first = await hypervisor.meters.measure(who, deadline=DEADLINE)
    assert first.memory > 1 << 20
    assert first.net is None, "it has no BRIDGE NIC"
    second = await hypervisor.meters.measure(who, deadline=DEADLINE)
    for name in ("cpu", "disk_read", "disk_written"):
        assert 0 <= getattr(first, name) <= getattr(second, name), "counters only grow"
    with pytest.raises(NotRunning):
        await hypervisor.meters.measure(next_run(who, 6), deadline=DEADLINE)
    await hypervisor.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    with pytest.raises(NotRunning):
        await hypervisor.meters.measure(who, deadline=DEADLINE)


@pytest.mark.holds("METRIC-8")
async def test_the_command_is_known_while_it_runs_without_the_hosts_paths(
    hypervisor: Hypervisor, tmp_path: Path, runtime: Path
) -> None:
    who = machine()
    assert await hypervisor.hosts.command(who, deadline=DEADLINE) is None
    await hypervisor.machines.start(who, spec(hypervisor), deadline=DEADLINE)
    argv = await hypervisor.hosts.command(who, deadline=DEADLINE)
    assert argv is not None and str(who.machine) in argv
    assert any("RUN/" in word for word in argv)
    assert not any(str(path) in word for word in argv for path in (tmp_path, runtime))
    assert await hypervisor.hosts.command(next_run(who, 6), deadline=DEADLINE) is None
    await hypervisor.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    assert await hypervisor.hosts.command(who, deadline=DEADLINE) is None


@pytest.mark.holds("GUEST-68")
async def test_a_guest_without_an_agent_is_asked_nothing(hypervisor: Hypervisor) -> None:
    who = machine()
    with pytest.raises(NotRunning):
        await hypervisor.guests.ask(who, "guest-ping", b"{}", deadline=DEADLINE)
    await hypervisor.machines.start(who, spec(hypervisor), deadline=DEADLINE)
    with pytest.raises(NoAgent, match="qemu-guest-agent"):
        await hypervisor.guests.ask(who, "guest-ping", b"{}", deadline=DEADLINE)
    await hypervisor.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    with pytest.raises(NotRunning):
        await hypervisor.guests.ask(who, "guest-ping", b"{}", deadline=DEADLINE)


async def test_how_the_host_does(hypervisor: Hypervisor) -> None:
    now = await hypervisor.hosts.now(HOST, deadline=DEADLINE)
    assert now.name and now.cpus >= 1 and now.uptime > 0
    assert len(now.load) == 3 and min(now.load) >= 0
    assert 0 < now.memory_free <= now.memory


@pytest.mark.holds("METRIC-2")
@pytest.mark.guest
async def test_one_that_hangs_is_asked_once_and_measured_again_when_it_answers(tmp_path: Path, runtime: Path) -> None:
    settings = Settings(data_dir=tmp_path, runtime_dir=str(runtime), accelerator="auto", uid_base=40000)
    driver = QemuHypervisor(options(settings), NoMedia(tmp_path))
    await driver.prepare()
    hung, fine = machine(), machine()
    for who in (hung, fine):
        await driver.machines.start(who, spec(driver, held=True), deadline=DEADLINE)
    await driver.meters.measure(hung, deadline=DEADLINE)
    pid = driver.watched.running(hung).qemu.pid
    os.kill(pid, signal.SIGSTOP)
    at_last(lambda: state(pid) == "T", "that it stands still")
    begun = time.monotonic()
    with pytest.raises(Unknown):
        await asyncio.wait_for(driver.meters.measure(hung, deadline=0.3), PATIENCE / 2)
    assert time.monotonic() - begun > 0.2
    begun = time.monotonic()
    for _ in range(5):
        with pytest.raises(Unknown):
            await driver.meters.measure(hung, deadline=PATIENCE)
    assert time.monotonic() - begun < PATIENCE, "who has not answered yet is not asked again, nor waited for"
    assert (await driver.meters.measure(fine, deadline=DEADLINE)).memory > 1 << 20
    os.kill(pid, signal.SIGCONT)

    async def measured() -> bool:
        with contextlib.suppress(Unknown):
            return (await driver.meters.measure(hung, deadline=DEADLINE)).memory > 1 << 20
        return False

    await asked_until(measured, what="a measurement of one that answers again")
    for who in (hung, fine):
        await driver.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    await driver.machines.close()


async def as_an_earlier_version_had_it(driver: QemuHypervisor, who: Incarnation) -> None:
    """The console on a socket, nothing of QEMU's in files, and no word of those in the note of the run."""
    runs, qemu = driver.watched.place.runs, driver.watched.running(who).qemu
    address = {"type": "unix", "data": {"path": str(runs.own(who.machine) / "serial.sock")}}
    backend = {"type": "socket", "data": {"addr": address, "server": True, "wait": False}}
    await qemu.execute("chardev-change", id="serial", backend=backend, deadline=DEADLINE)
    for file in runs.directory(who.machine).glob("serial.*"):
        file.unlink()
    (runs.directory(who.machine) / "qemu.out").unlink()
    (run,) = runs.all()
    runs.write(msgspec.structs.replace(run, spool=None))


@pytest.mark.guest
@pytest.mark.parametrize("earlier", [False, True])
async def test_a_guest_that_ends_by_itself_is_news(tmp_path: Path, runtime: Path, earlier: bool) -> None:
    """QEMU's firmware shell powers off when told to; a second driver, which adopted it, hears that."""
    settings = Settings(data_dir=tmp_path, runtime_dir=str(runtime), accelerator="auto", uid_base=40000)
    first = QemuHypervisor(options(settings), NoMedia(tmp_path))
    await first.prepare()
    who = machine()
    shell = MachineSpec("x", 1, 128, first.hosts.about(HOST).machine_type, first.hosts.about(HOST).firmware)
    await first.machines.start(who, shell, deadline=DEADLINE)
    if earlier:
        await as_an_earlier_version_had_it(first, who)
    await first.machines.close()

    settings = Settings(data_dir=tmp_path, runtime_dir=str(runtime), accelerator="auto", uid_base=40000)
    second = QemuHypervisor(options(settings), NoMedia(tmp_path))
    await second.prepare()
    (adopted,) = (await second.machines.adopt(HOST, deadline=DEADLINE)).found
    assert (adopted.who, adopted.fact, adopted.why) == (who, Fact.RUNNING, FactCause.ASKED)
    assert who.machine not in await second.hosts.kept(HOST, deadline=DEADLINE), "it runs"
    serial = await second.consoles.open(who, SerialConsole(), deadline=DEADLINE)
    await until(serial, b"any other key")
    await serial.write(b"\r")
    await until(serial, b"Shell>")
    listener = Listener(second)
    await serial.write(b"reset -s\r")
    assert (await listener.hears(who, Fact.ENDED)).why is FactCause.GUEST_SHUTDOWN
    await listener.close()
    assert b"Shell>" in await second.consoles.said(HOST, who.machine, 1 << 16, deadline=DEADLINE)
    await second.machines.acknowledge(who, deadline=DEADLINE)
    (log,) = (tmp_path / "machines" / str(who.machine)).glob("serial.*.log")
    assert list(await second.hosts.kept(HOST, deadline=DEADLINE)) == [who.machine]
    await second.machines.forget(HOST, who.machine, deadline=DEADLINE)
    assert not log.exists()
    await second.machines.close()
