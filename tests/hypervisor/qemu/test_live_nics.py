"""NICs that a server had begun to plug in when it was killed; and what bounds a process that grows."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from tests.ports.subjects import DEADLINE, QemuSubject, machine, next_run, spec
from tests.ports.test_changes import disk, medium
from velocity.hypervisor.port import Bus, Incarnation, MachineSpec, NatSpec, NicSpec
from velocity.hypervisor.qemu import scopes
from velocity.hypervisor.waits import NO_PORT, NOT_YET
from velocity.storage.directory.places import file_name, host_places

pytestmark = [pytest.mark.anyio, pytest.mark.guest]

FIRST, SECOND, NINTH = (NatSpec(nic, f"52:54:00:00:00:{nic:02x}") for nic in (1, 2, 10))


async def runs(qemu: QemuSubject, *nics: NicSpec) -> tuple[Incarnation, MachineSpec]:
    who = machine()
    made = msgspec.structs.replace(spec(qemu.driver, held=True, displays=0), nics=nics)
    await qemu.driver.machines.start(who, made, deadline=DEADLINE)
    return who, made


async def killed_while_it_plugged(qemu: QemuSubject, who: Incarnation, made: MachineSpec, *, there: bool) -> None:
    """When QEMU had the second NIC, or only its other end; nothing says so but that it was to come."""
    entry = qemu.driver.watched.running(who)
    if there:
        await qemu.driver.machines.alter(who, msgspec.structs.replace(made, nics=(FIRST, SECOND)), deadline=DEADLINE)
    else:
        await entry.qemu.execute("netdev_add", deadline=DEADLINE, type="user", id="net1")
    entry.run = msgspec.structs.replace(entry.run, made=made, plugged={"nic2": 0})


async def devices(qemu: QemuSubject, who: Incarnation) -> set[str]:
    found = await qemu.driver.watched.running(who).qemu.execute(
        "qom-list", deadline=DEADLINE, path="/machine/peripheral"
    )
    return {one["name"] for one in found if one["name"].startswith("nic")}


@pytest.mark.holds("GUEST-63")
@pytest.mark.parametrize("there", [True, False], ids=["there", "not there"])
async def test_a_nic_that_a_killed_server_had_begun_to_plug_in_is_there_once(qemu: QemuSubject, there: bool) -> None:
    who, made = await runs(qemu, FIRST)
    await killed_while_it_plugged(qemu, who, made, there=there)
    both = msgspec.structs.replace(made, nics=(FIRST, SECOND))
    altered = await qemu.driver.machines.alter(who, both, deadline=DEADLINE)
    assert (altered.spec.nics, altered.waits) == ((FIRST, SECOND), ())
    assert await devices(qemu, who) == {"nic1", "nic2"}
    assert qemu.driver.watched.running(who).run.plugged == {"nic2": 0}


@pytest.mark.holds("GUEST-63")
@pytest.mark.parametrize("there", [True, False], ids=["there", "not there"])
async def test_and_where_it_is_not_wanted_any_more_it_goes_and_nothing_takes_its_place(
    qemu: QemuSubject, there: bool
) -> None:
    """The guest has not booted, and so lets go of nothing that is there. The other is of the same slot."""
    who, made = await runs(qemu, FIRST)
    await killed_while_it_plugged(qemu, who, made, there=there)
    other = msgspec.structs.replace(made, nics=(FIRST, NINTH))
    altered = await qemu.driver.machines.alter(who, other, deadline=DEADLINE)
    assert altered.spec.nics == ((FIRST,) if there else (FIRST, NINTH))
    assert [one.why for one in altered.waits] == ([NOT_YET, NO_PORT] if there else [])
    assert await devices(qemu, who) == ({"nic1", "nic2"} if there else {"nic1", "nic10"})


@pytest.mark.holds("GUEST-63")
async def test_a_nic_that_the_guest_has_let_go_of_meanwhile_is_cleared_up_after(qemu: QemuSubject) -> None:
    """Its other end too, so that the next one can be plugged in there."""
    who, made = await runs(qemu, FIRST)
    await killed_while_it_plugged(qemu, who, made, there=False)
    entry = qemu.driver.watched.running(who)
    entry.run = msgspec.structs.replace(entry.run, made=msgspec.structs.replace(made, nics=(FIRST, SECOND)))
    altered = await qemu.driver.machines.alter(who, made, deadline=DEADLINE)
    assert (altered.spec.nics, altered.waits, entry.run.plugged) == ((FIRST,), (), {})
    altered = await qemu.driver.machines.alter(
        who, msgspec.structs.replace(made, nics=(FIRST, NINTH)), deadline=DEADLINE
    )
    assert (altered.spec.nics, altered.waits) == ((FIRST, NINTH), ())


Asked = Callable[[], list[tuple[str, int]]]


@pytest.fixture
def bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The scopes and MiB for which systemd is asked, by a busctl that notes them."""
    asked = tmp_path / "asked"
    (tmp_path / "busctl").write_text(f'#!/bin/sh\necho "$@" >>{asked}\n')
    (tmp_path / "busctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin")
    monkeypatch.setattr(scopes.bound, "__defaults__", (tmp_path,))

    def found() -> list[tuple[str, int]]:
        words = [line.split() for line in asked.read_text().splitlines()] if asked.exists() else []
        return [(next(one for one in line if one.endswith(".scope")), int(line[-1]) >> 20) for line in words]

    return found


@pytest.mark.holds("GUEST-62")
async def test_what_bounds_its_memory_follows_before_it_grows_and_after_it_has_shrunk(
    qemu: QemuSubject, bounds: Asked
) -> None:
    who = machine()
    made = msgspec.structs.replace(spec(qemu.driver, held=True, displays=0), max_cpus=2, max_memory=128)
    await qemu.driver.machines.start(who, made, deadline=DEADLINE)
    for memory, cpus in ((128, 1), (64, 2)):
        wanted = msgspec.structs.replace(made, memory=memory, cpus=cpus)
        await qemu.driver.machines.alter(who, wanted, deadline=DEADLINE)
    most = [mib for _, mib in bounds()]
    sizes = [msgspec.structs.replace(made, memory=memory, cpus=cpus) for memory, cpus in ((128, 1), (128, 2), (64, 2))]
    grown, both, shrunk = map(scopes.most_memory, sizes)
    assert [most[0], most[-2], most[-1]] == [grown, both, shrunk]
    assert {scope for scope, _ in bounds()} == {f"velocity-{who.machine}-{who.epoch}.scope"}


@pytest.mark.holds("ISOLATION-19")
async def test_what_bounds_it_is_found_after_its_guest_was_handed_over_and_came_back(
    qemu: QemuSubject, bounds: Asked
) -> None:
    """It is another run then, of the same process: the scope has the name of the first."""
    who = machine()
    made = msgspec.structs.replace(spec(qemu.driver, held=True, displays=0), max_cpus=1, max_memory=128)
    await qemu.driver.machines.start(who, made, deadline=DEADLINE)
    await qemu.driver.watched.rename(qemu.driver.watched.running(who), next_run(who))
    wanted = msgspec.structs.replace(made, memory=128)
    await qemu.driver.machines.alter(next_run(who), wanted, deadline=DEADLINE)
    assert bounds()[-1] == (f"velocity-{who.machine}-{who.epoch}.scope", scopes.most_memory(wanted))


@pytest.fixture
async def in_memory(runtime: Path, anyio_backend: str) -> AsyncIterator[QemuSubject]:
    """Its disks are."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="v") as place:
        made = QemuSubject(Path(place), runtime)
        await made.open()
        yield made
        await made.close()


@pytest.mark.holds("ISOLATION-19")
async def test_a_disk_in_memory_that_comes_or_grows_while_it_runs_raises_what_bounds_it(
    in_memory: QemuSubject, bounds: Asked
) -> None:
    """Else the kernel would end a guest that fills it."""
    qemu, who, media = in_memory, machine(), medium(0)
    made = spec(qemu.driver, held=True, displays=0)
    await qemu.driver.machines.start(who, made, deadline=DEADLINE)
    qemu.provide(media)
    has = host_places(qemu.options.data_dir).kept(file_name(media)).stat().st_size >> 20
    wanted = msgspec.structs.replace(made, disks=(disk(0, Bus.VIRTIO),))
    await qemu.driver.machines.alter(who, wanted, deadline=DEADLINE)
    most = scopes.most_memory(wanted)
    assert bounds()[-1][1] - most in range(has, has + 2)
    await qemu.driver.machines.resize(who, media, 512 << 20, deadline=DEADLINE)
    assert bounds()[-1][1] >= most + 512


@pytest.mark.holds("ISOLATION-19")
async def test_a_disk_in_memory_that_comes_back_raises_what_bounds_it_again(
    in_memory: QemuSubject, bounds: Asked
) -> None:
    """Another change has lowered the bound meanwhile, and the disk has the number that it had."""
    qemu, who, media = in_memory, machine(), medium(0)
    made = msgspec.structs.replace(spec(qemu.driver, held=True, displays=0), max_cpus=2)
    await qemu.driver.machines.start(who, made, deadline=DEADLINE)
    qemu.provide(media)
    for cpus, disks in ((1, (disk(0, Bus.VIRTIO),)), (1, ()), (2, ()), (2, (disk(0, Bus.VIRTIO),))):
        wanted = msgspec.structs.replace(made, cpus=cpus, disks=disks)
        altered = await qemu.driver.machines.alter(who, wanted, deadline=DEADLINE)
        assert altered.waits == ()
    assert bounds()[-1][1] > scopes.most_memory(wanted)
