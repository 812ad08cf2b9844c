"""What QEMU itself says of devices that change while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from tests.hypervisor.qemu.test_disks import driver, started
from tests.ports.subjects import DEADLINE, spec
from tests.processes import open_files
from velocity.hypervisor.port import FIRST_HARDWARE, Bus, DiskSpec, Incarnation, MachineSpec, NatSpec, Stop
from velocity.hypervisor.qemu import filesizes
from velocity.hypervisor.qemu.driver import QemuHypervisor
from velocity.hypervisor.qemu.hardware import PROFILES
from velocity.hypervisor.waits import FULL
from velocity.storage.port import MediaRef

__all__ = ["driver"]
pytestmark = [pytest.mark.anyio, pytest.mark.guest]

RESOURCE = 24
"""CAP_SYS_RESOURCE. capabilities(7)"""


def disk(number: int, bus: Bus = Bus.USB, **more: Any) -> DiskSpec:
    return DiskSpec(MediaRef(1, UUID(int=number + 1), "raw"), bus, readonly=False, cdrom=False, **more)


def wanted(driver: QemuHypervisor, *disks: DiskSpec, **more: Any) -> MachineSpec:
    return msgspec.structs.replace(spec(driver, displays=0), disks=disks, **more)


def may_raise_limits() -> bool:
    (line,) = (one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("CapEff"))
    return bool(int(line.split()[1], 16) >> RESOURCE & 1)


@pytest.mark.holds("GUEST-66")
async def test_no_hub_comes_between_a_usb_disk_and_its_controller(driver: QemuHypervisor) -> None:
    """Of hardware 1, the last port of a controller is taken by its number; of hardware 2, there is another one."""
    for hardware in (FIRST_HARDWARE, "2"):
        who = await started(driver, disk(0), hardware=hardware)
        asked = wanted(driver, disk(0), disk(1), hardware=hardware)
        assert (await driver.machines.alter(who, asked, deadline=DEADLINE)).waits == ()
        line = "info usb"
        execute = driver.adoption.running(who).qemu.execute
        said = await execute("human-monitor-command", deadline=DEADLINE, **{"command-line": line})
        assert said.count("Device ") == 2 and "Hub" not in said, said
        await driver.machines.stop(who, Stop.NOW, deadline=DEADLINE)


@pytest.mark.holds("GUEST-103")
@pytest.mark.parametrize("hardware", ["4", PROFILES[-1].name])
async def test_there_are_places_for_eight_devices_of_all_kinds(driver: QemuHypervisor, hardware: str) -> None:
    kinds = [Bus.BLOCK] * 6 + [Bus.VIRTIO, Bus.USB, Bus.BLOCK]
    disks = [disk(number, kind) for number, kind in enumerate([Bus.BLOCK, *kinds])]
    who = await started(driver, disks[0], hardware=hardware)
    asked = wanted(driver, *disks, hardware=hardware)
    altered = await driver.machines.alter(who, asked, deadline=DEADLINE)
    assert [(one.why, one.medium) for one in altered.waits] == [(FULL, disks[-1].media.medium)]
    assert altered.spec.disks == tuple(disks[:-1])
    await driver.machines.stop(who, Stop.NOW, deadline=DEADLINE)


async def boot_order(driver: QemuHypervisor, who: Incarnation) -> dict[str, int]:
    """As QEMU tells it to the firmware."""
    qemu = driver.watched.running(who).qemu
    devices = await qemu.execute("qom-list", deadline=DEADLINE, path="/machine/peripheral")
    names = [one["name"] for one in devices if one["name"].startswith(("dev", "nic"))]
    told = {
        name: await qemu.execute("qom-get", deadline=DEADLINE, path=f"/machine/peripheral/{name}", property="bootindex")
        for name in names
    }
    return {name: place for name, place in told.items() if place >= 0}


@pytest.mark.holds("GUEST-82")
async def test_disks_and_nics_have_their_places_from_the_start_and_get_others_while_it_runs(
    driver: QemuHypervisor,
) -> None:
    disks = [disk(0, Bus.BLOCK), disk(1, Bus.VIRTIO)]
    nics = (NatSpec(1, "52:54:00:00:00:01", boot=1), NatSpec(2, "52:54:00:00:00:02"))
    who = await started(driver, disks[0], msgspec.structs.replace(disks[1], boot=2), nics=nics)
    assert await boot_order(driver, who) == {"nic1": 1, "dev1": 2, "dev0": 3}
    turned = tuple(msgspec.structs.replace(nic, boot=2 * number) for number, nic in enumerate(nics))
    first = msgspec.structs.replace(disks[0], boot=1)
    for _ in range(2):
        altered = await driver.machines.alter(who, wanted(driver, first, disks[1], nics=turned), deadline=DEADLINE)
        assert (altered.waits, altered.spec.nics, altered.spec.disks) == ((), turned, (first, disks[1]))
        assert await boot_order(driver, who) == {"dev0": 1, "nic2": 2, "dev1": 3}
    await driver.machines.alter(who, wanted(driver, *disks, nics=(turned[0], nics[1])), deadline=DEADLINE)
    assert await boot_order(driver, who) == {"dev0": 1, "dev1": 2}
    await driver.machines.alter(who, wanted(driver, disks[1], nics=nics), deadline=DEADLINE)
    assert await boot_order(driver, who) == {"nic1": 1, "dev1": 2, "dev0": 3}, "what stays for now goes behind"


@pytest.mark.holds("GUEST-66")
async def test_the_firmware_is_told_another_boot_order(driver: QemuHypervisor) -> None:
    disks = [disk(0, Bus.BLOCK), disk(1, Bus.USB), disk(2, Bus.VIRTIO)]
    who = await started(driver, *disks)
    turned = [disk(3, Bus.VIRTIO), *reversed(disks)]
    assert (await driver.machines.alter(who, wanted(driver, *turned), deadline=DEADLINE)).waits == ()
    entry = driver.watched.running(who)
    told = {
        drive.number: await entry.qemu.execute(
            "qom-get", deadline=DEADLINE, path=f"/machine/peripheral/{drive.device}", property="bootindex"
        )
        for drive in entry.run.drives
    }
    assert told == {3: 1, 2: 2, 1: 3, 0: 4}


@pytest.mark.holds("GUEST-66")
async def test_a_larger_disk_may_be_written_to_its_end_or_waits_where_nobody_can_permit_that(
    driver: QemuHypervisor, tmp_path: Path
) -> None:
    who = await started(driver, disk(0))
    large = tmp_path / str(disk(1).media.medium)
    with large.open("wb") as file:
        file.truncate(8 << 30)
    altered = await driver.machines.alter(who, wanted(driver, disk(0), disk(1)), deadline=DEADLINE)
    bound = filesizes.of_process(driver.adoption.running(who).qemu.pid)
    assert bound is not None
    if may_raise_limits():
        assert (altered.waits, bound) == ((), (8 << 30) + filesizes.SLACK)
    else:
        assert "CAP_SYS_RESOURCE" in altered.waits[0].why and bound < 8 << 30
        assert altered.spec.disks == (disk(0),)


@pytest.mark.holds("GUEST-66")
async def test_what_a_server_that_was_killed_has_left_half_done_is_closed(driver: QemuHypervisor) -> None:
    """A node without a device, a descriptor without a node, and a note of a disk that never came."""
    who = await started(driver, disk(0))
    await driver.machines.resume(who, deadline=DEADLINE)  # one that is halted closes descriptors when it goes on
    entry = driver.watched.running(who)
    asked = wanted(driver, disk(0))
    both = await driver.machines.alter(who, wanted(driver, disk(0), disk(1)), deadline=DEADLINE)
    assert both.waits == ()
    await entry.qemu.execute("device_del", deadline=DEADLINE, id=entry.run.drives[1].outer)
    with Path("/dev/null").open("rb") as lent:
        await entry.qemu.lend(lent.fileno(), "disk9", deadline=DEADLINE)
    ghost = msgspec.structs.replace(entry.run.drives[1], number=7)
    entry.run = msgspec.structs.replace(entry.run, drives=(*entry.run.drives, ghost))
    altered = await driver.machines.alter(who, asked, deadline=DEADLINE)
    assert (altered.spec.disks, altered.waits) == ((disk(0),), ())
    nodes = await entry.qemu.execute("query-named-block-nodes", deadline=DEADLINE, flat=True)
    assert sorted(one["node-name"] for one in nodes if one["node-name"].startswith("disk")) == ["disk0"]
    sets = await entry.qemu.execute("query-fdsets", deadline=DEADLINE)
    assert not any(str(fd.get("opaque", "")).startswith("disk") for one in sets for fd in one["fds"])
    assert [one.number for one in entry.run.drives] == [0]


@pytest.mark.holds("GUEST-95")
async def test_a_machine_that_stood_still_closes_the_files_that_it_has_no_more_when_it_goes_on(
    driver: QemuHypervisor,
) -> None:
    """QEMU closes no descriptor of a file that was lent to it while it stands still, nor later by itself."""

    def opened() -> set[str]:
        return {Path(one).name for one in open_files(driver.adoption.running(who).qemu.pid)} & {*names}

    discs = [msgspec.structs.replace(disk(number), readonly=True, cdrom=True) for number in (0, 1)]
    names = [str(one.media.medium) for one in discs]
    who = await started(driver, discs[0])
    assert opened() == {names[0]}
    for has in ((discs[1],), ()):
        left = wanted(driver, *has, drives=() if has else (Bus.USB,))
        assert (await driver.machines.alter(who, left, deadline=DEADLINE)).waits == ()
    assert opened() == {*names}
    await driver.machines.resume(who, deadline=DEADLINE)
    assert opened() == set()
