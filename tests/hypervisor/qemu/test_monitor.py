"""A monitor that is silent or breaks is no end: it is asked once, connected to again, and overtaken by a stop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tests.patience import eventually
from tests.ports.subjects import DEADLINE, HOST, Listener, NoMedia, QemuSubject, machine, next_run, spec
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.port import (
    Bus,
    DiskSpec,
    Fact,
    HypervisorError,
    Incarnation,
    MachineSpec,
    Stop,
    Unknown,
)
from velocity.hypervisor.qemu.directories import HostDirectories
from velocity.storage.port import MediaRef, ObjectKind

pytestmark = [pytest.mark.anyio, pytest.mark.guest]


async def begun(qemu: QemuSubject, *, held: bool = True) -> Incarnation:
    who = machine()
    await qemu.driver.machines.start(who, spec(qemu.driver, held=held), deadline=DEADLINE)
    return who


@pytest.mark.holds("GUEST-20")
async def test_a_connection_that_breaks_is_made_again_and_what_happened_meanwhile_is_told(qemu: QemuSubject) -> None:
    who = await begun(qemu, held=False)
    monitor = qemu.driver.watched.running(who).qemu.monitor
    listener = Listener(qemu.driver)
    qemu.hang(who)
    with pytest.raises(HypervisorError):
        await qemu.driver.machines.pause(who, deadline=0.2)
    client = monitor.client
    assert client is not None and client._writer is not None
    client._writer.transport.abort()
    await listener.hears(who, Fact.SILENT)
    qemu.wake(who)

    def told() -> Fact | None:
        last = listener.last(who)
        return None if last is None else last.fact

    # Whether QEMU has still read the pause is its own affair.
    await eventually(lambda: told() in (Fact.RUNNING, Fact.PAUSED))
    assert (await qemu.driver.machines.facts(who, deadline=DEADLINE)).fact is told()
    await qemu.driver.machines.pause(who, deadline=DEADLINE)
    await listener.hears(who, Fact.PAUSED)
    await qemu.driver.machines.resume(who, deadline=DEADLINE)
    await listener.hears(who, Fact.RUNNING)
    await listener.close()


@pytest.mark.holds("GUEST-19")
async def test_a_silent_one_is_asked_once_whoever_asks_and_how_often(qemu: QemuSubject) -> None:
    who, fine = await begun(qemu), await begun(qemu)
    monitor = qemu.driver.watched.running(who).qemu.monitor
    listener = Listener(qemu.driver)
    qemu.hang(who)
    for _ in range(6):
        with pytest.raises(Unknown):
            await qemu.driver.machines.facts(who, deadline=0.3)
    await listener.hears(who, Fact.SILENT)
    for _ in range(100):
        with pytest.raises(Unknown):
            await qemu.driver.meters.measure(who, deadline=10 * DEADLINE)
        with pytest.raises(Unknown):
            await qemu.driver.screens.shot(who, 0, deadline=10 * DEADLINE)
    with pytest.raises(HypervisorError, match="the request was not sent"):
        await qemu.driver.machines.resume(who, deadline=0.1)
    tasks = len(asyncio.all_tasks())
    with contextlib.suppress(Unknown):  # a slow host does not know in time
        await qemu.driver.machines.adopt(HOST, deadline=2.0)
    assert len(monitor.asked) == 1
    assert len(asyncio.all_tasks()) <= tasks, "nothing piles up"
    assert (await qemu.driver.meters.measure(fine, deadline=DEADLINE)).memory > 0
    qemu.wake(who)
    await listener.hears(who, Fact.HELD)
    assert (await qemu.driver.meters.measure(who, deadline=DEADLINE)).memory > 0
    await qemu.driver.machines.resume(who, deadline=DEADLINE)
    assert [one.fact for one in listener.heard if one.who == who][-3:] == [Fact.SILENT, Fact.HELD, Fact.RUNNING]
    await listener.close()


class SlowMedia(NoMedia):
    """Its pool does not answer until it is told to."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        self.asked, self.go_on = threading.Event(), threading.Event()

    def open(self, media: MediaRef, *, readonly: bool, coming: bool = False) -> int:
        if media.kind is not ObjectKind.MEDIUM:
            return super().open(media, readonly=readonly)
        self.asked.set()
        assert self.go_on.wait(2 * DEADLINE)
        raise Refused(Problem.POOL_AWAY, "it is away")


def with_medium(plain: MachineSpec) -> MachineSpec:
    ref = MediaRef(1, machine().machine, "raw")
    disk = DiskSpec(ref, Bus.VIRTIO, readonly=False, cdrom=False)
    return MachineSpec(plain.name, 1, 64, plain.machine_type, plain.firmware, disks=(disk,), held=True)


async def test_a_start_that_hangs_before_its_process_is_unknown_then_gone(qemu: QemuSubject) -> None:
    media = SlowMedia(qemu.options.data_dir)
    qemu.driver.watched.place = _with(qemu, media)
    who = machine()
    try:
        with pytest.raises(Unknown):
            await qemu.driver.machines.start(who, with_medium(spec(qemu.driver)), deadline=0.3)
        with pytest.raises(Unknown):
            await qemu.driver.machines.facts(who, deadline=0.1)
        (found,) = (await qemu.driver.machines.adopt(HOST, deadline=DEADLINE)).found
        assert (found.who, found.fact) == (who, Fact.SILENT)
        with pytest.raises(Unknown):
            await qemu.driver.machines.stop(who, Stop.NOW, deadline=0.1)
        with pytest.raises(HypervisorError):
            await qemu.driver.machines.start(next_run(who), spec(qemu.driver), deadline=0.1)
    finally:
        media.go_on.set()
    await eventually(lambda: qemu.driver.starts.of(who.machine) is None)
    assert (await qemu.driver.machines.facts(who, deadline=DEADLINE)).fact is Fact.ABSENT
    await qemu.driver.machines.start(next_run(who), spec(qemu.driver, held=True), deadline=DEADLINE)


def _with(qemu: QemuSubject, media: SlowMedia) -> HostDirectories:
    return replace(qemu.driver.watched.place, media=media)


async def test_a_stop_overtakes_a_start_whose_process_is_not_there_yet(qemu: QemuSubject) -> None:
    media = SlowMedia(qemu.options.data_dir)
    qemu.driver.watched.place = _with(qemu, media)
    who = machine()
    starting = asyncio.create_task(qemu.driver.machines.start(who, with_medium(spec(qemu.driver)), deadline=DEADLINE))
    assert await asyncio.to_thread(media.asked.wait, DEADLINE)
    stopping = asyncio.create_task(qemu.driver.machines.stop(who, Stop.NOW, deadline=DEADLINE))
    await asyncio.sleep(0.05)
    media.go_on.set()
    await stopping
    with pytest.raises(HypervisorError):
        await starting
    assert list(qemu.root.iterdir()) == []
    assert (await qemu.driver.machines.facts(who, deadline=DEADLINE)).fact is Fact.ABSENT
