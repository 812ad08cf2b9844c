"""What QEMU itself says that disks have, by whatever way they are attached."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from tests.ports.subjects import DEADLINE, HOST, NoMedia, machine, spec
from velocity.config import Settings
from velocity.hypervisor.port import Bus, Cache, DiskLimits, DiskSpec, HypervisorError, Incarnation, NotRunning, Stop
from velocity.hypervisor.qemu.driver import QemuHypervisor
from velocity.hypervisor.qemu.options import options
from velocity.storage.port import HOST_POOL, MediaRef, ObjectKind

pytestmark = [pytest.mark.anyio, pytest.mark.guest]

WAYS = ((Bus.BLOCK, False), (Bus.USB, False), (Bus.VIRTIO, False), (Bus.USB, True), (Bus.VIRTIO, True))
"""How a medium may be attached, and whether as a CD-ROM."""


SHARED = 7
"""A pool that other hosts have, too."""


class Blank(NoMedia):
    """Media are there as soon as somebody opens them."""

    def open(self, media: MediaRef, *, readonly: bool, coming: bool = False) -> int:
        if media.kind is not ObjectKind.MEDIUM:
            return super().open(media, readonly=readonly)
        path = self.data_dir / f"{media.medium}"
        with path.open("ab") as file:
            file.truncate(max(1 << 20, file.tell()))
        return os.open(path, os.O_RDONLY if readonly else os.O_RDWR)

    def direct_lacks(self, media: MediaRef, descriptor: int, *, readonly: bool) -> str:
        return super().direct_lacks(msgspec.structs.replace(media, pool=HOST_POOL), descriptor, readonly=readonly)

    def is_shared(self, media: MediaRef) -> bool:
        return media.pool == SHARED

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        self.data_dir = data_dir


@pytest.fixture
async def driver(tmp_path: Path, runtime: Path, anyio_backend: str) -> AsyncIterator[QemuHypervisor]:
    made = QemuHypervisor(
        options(Settings(data_dir=tmp_path, runtime_dir=str(runtime), accelerator="tcg", uid_base=43000)),
        Blank(tmp_path),
    )
    await made.prepare()
    yield made
    for found in (await made.machines.adopt(HOST, deadline=DEADLINE)).found:
        await made.machines.stop(found.who, Stop.NOW, deadline=DEADLINE)
        await made.machines.acknowledge(found.who, deadline=DEADLINE)
    await made.machines.close()


def disks(**more: Any) -> tuple[DiskSpec, ...]:
    """One attached in each way."""
    return tuple(
        DiskSpec(MediaRef(1, UUID(int=number + 1), "raw"), bus, readonly=cdrom, cdrom=cdrom, **more)
        for number, (bus, cdrom) in enumerate(WAYS)
    )


async def test_what_a_backup_includes_is_there_before_the_first_machine(driver: QemuHypervisor, tmp_path: Path) -> None:
    assert all((tmp_path / name).is_dir() for name in ("machines", "firmware"))


async def started(driver: QemuHypervisor, *all_disks: DiskSpec, **more: Any) -> Incarnation:
    who = machine()
    wanted = msgspec.structs.replace(spec(driver, held=True, displays=0), disks=all_disks, **more)
    await driver.machines.start(who, wanted, deadline=DEADLINE)
    return who


async def inserted(driver: QemuHypervisor, who: Incarnation) -> list[dict[str, Any]]:
    """What QEMU says of each disk, in their order."""
    answer = await driver.adoption.running(who).qemu.execute("query-block", deadline=DEADLINE)
    found = {one["inserted"]["node-name"]: one["inserted"] for one in answer if "inserted" in one}
    return [found[f"disk{number}"] for number in range(len(WAYS))]


@pytest.mark.holds("GUEST-45")
async def test_qemu_goes_past_the_page_cache_in_every_way_that_a_disk_is_attached(driver: QemuHypervisor) -> None:
    for cache in Cache:
        who = await started(driver, *disks(cache=cache))
        found = [one["cache"] for one in await inserted(driver, who)]
        assert found == [{"direct": cache is Cache.NONE, "no-flush": False, "writeback": True}] * len(WAYS)
        command = " ".join(await driver.hosts.command(who, deadline=DEADLINE) or ())
        aio = driver.watched.place.direct_aio
        assert command.count("aio=") == command.count(f"aio={aio}") == (len(WAYS) if cache is Cache.NONE else 0)
        await driver.machines.stop(who, Stop.NOW, deadline=DEADLINE)


@pytest.mark.holds("MANY-116")
async def test_a_disk_in_a_shared_pool_is_locked_from_the_start_and_when_it_is_attached(driver: QemuHypervisor) -> None:
    first, second = (DiskSpec(MediaRef(SHARED, UUID(int=one), "raw"), Bus.BLOCK, False, False) for one in (1, 2))
    who = await started(driver, first)
    command = " ".join(await driver.hosts.command(who, deadline=DEADLINE) or ())
    assert command.count("file.locking=on") == 1
    asked = msgspec.structs.replace(spec(driver, held=True, displays=0), disks=(first, second))
    assert (await driver.machines.alter(who, asked, deadline=DEADLINE)).waits == ()
    for disk in (first, second):
        with pytest.raises(HypervisorError, match='Failed to get "write" lock'):
            await started(driver, disk)


@pytest.mark.holds("GUEST-46")
async def test_limits_hold_from_the_start_and_are_changed_and_lifted_while_it_runs(driver: QemuHypervisor) -> None:
    """In every way that a disk is attached, each disk for itself."""
    some = DiskLimits(iops=100, read_bytes=1 << 20, write_bytes=1 << 21)
    who = await started(driver, *disks(limits=some))
    assert [limits(one) for one in await inserted(driver, who)] == [some] * len(WAYS)
    others = [DiskLimits(), DiskLimits(bytes=4096), DiskLimits(read_iops=1, write_iops=2), DiskLimits(iops=7), some]
    wanted = [msgspec.structs.replace(one, limits=other) for one, other in zip(disks(), others, strict=True)]
    asked = msgspec.structs.replace(spec(driver, displays=0), disks=tuple(wanted))
    altered = await driver.machines.alter(who, asked, deadline=DEADLINE)
    assert (altered.spec.disks, altered.waits) == (asked.disks, ())
    assert [limits(one) for one in await inserted(driver, who)] == others
    await driver.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    with pytest.raises(NotRunning):
        await driver.machines.alter(who, asked, deadline=DEADLINE)


@pytest.mark.holds("GUEST-49")
async def test_of_a_run_that_an_earlier_version_began_nothing_is_changed_and_the_words_say_so(
    driver: QemuHypervisor,
) -> None:
    who = await started(driver, *disks())
    entry = driver.watched.running(who)
    entry.run = msgspec.structs.replace(entry.run, made=None)
    with pytest.raises(HypervisorError, match="an earlier version of Velocity started it"):
        await driver.machines.alter(who, spec(driver), deadline=DEADLINE)


def limits(told: dict[str, Any]) -> DiskLimits:
    """As QEMU tells them."""
    return DiskLimits(
        iops=told["iops"], read_iops=told["iops_rd"], write_iops=told["iops_wr"],
        bytes=told["bps"], read_bytes=told["bps_rd"], write_bytes=told["bps_wr"],
    )  # fmt: skip


@pytest.mark.holds("GUEST-47", "GUEST-48")
async def test_qemu_detects_zeroes_and_gives_each_disk_its_sectors(driver: QemuHypervisor) -> None:
    """Of what is written to, and of what is no CD-ROM."""
    for size, found in {512: 0, 4096: 3}.items():
        who = await started(driver, *disks(sector_size=size, detect_zeroes=size == 4096))
        zeroes = [one["detect_zeroes"] for one in await inserted(driver, who)]
        assert zeroes == (["unmap"] * 3 + ["off"] * 2 if size == 4096 else ["off"] * len(WAYS))
        command = " ".join(await driver.hosts.command(who, deadline=DEADLINE) or ())
        assert command.count("logical_block_size=4096,physical_block_size=4096") == found
        execute = driver.adoption.running(who).qemu.execute
        answer = await execute("query-block", deadline=DEADLINE)
        devices = {one["inserted"]["node-name"]: one["qdev"] for one in answer if "inserted" in one}
        for place in range(3):  # what is behind the device that has the disk's name
            path = devices[f"disk{place}"].removesuffix("/virtio-backend")
            path = path if path.startswith("/") else f"/machine/peripheral/{path}"
            told = await execute("qom-get", deadline=DEADLINE, path=path, property="logical_block_size")
            assert told == size, devices
        await driver.machines.stop(who, Stop.NOW, deadline=DEADLINE)
