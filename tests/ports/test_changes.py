"""The law of the port about machines that are changed while they run."""

from __future__ import annotations

import msgspec
import pytest

from tests.ports.subjects import DEADLINE, HOST, Subject, machine, next_run, spec
from velocity.hypervisor.port import (
    FIRST_HARDWARE,
    Altered,
    Bus,
    Cache,
    DiskLimits,
    DiskSpec,
    Fact,
    HypervisorError,
    Incarnation,
    Machines,
    MachineSpec,
    NotRunning,
    Stop,
    Unknown,
)
from velocity.storage.port import MediaRef, variables

pytestmark = pytest.mark.anyio


def disk(number: int, bus: Bus = Bus.VIRTIO, **more: object) -> DiskSpec:
    """One whose file a subject has: see `Subject.provide`."""
    return msgspec.structs.replace(DiskSpec(medium(number), bus, readonly=False, cdrom=False), **more)


def medium(number: int) -> MediaRef:
    return variables(HOST_UUIDS[number])


HOST_UUIDS = [machine().machine for _ in range(6)]


async def runs(subject: Subject, *disks: DiskSpec) -> tuple[Incarnation, MachineSpec]:
    """A machine that is loaded, with these disks."""
    for number in range(len(HOST_UUIDS)):
        subject.provide(medium(number))
    who = machine()
    made = msgspec.structs.replace(spec(subject.hypervisor, held=True, displays=0), disks=disks)
    await subject.hypervisor.machines.start(who, made, deadline=DEADLINE)
    return who, msgspec.structs.replace(made, held=False)


@pytest.mark.holds("GUEST-82")
async def test_places_in_the_boot_order_change_and_leave_the_disks_where_they_are(subject: Subject) -> None:
    who, made = await runs(subject, disk(0), disk(1, boot=1))
    machines = subject.hypervisor.machines
    first = msgspec.structs.replace(made, disks=(disk(0, boot=1), disk(1, boot=2)))
    for wanted in (first, made, first):
        altered = await machines.alter(who, wanted, deadline=DEADLINE)
        assert (altered.spec, altered.waits) == (wanted, ())
        await subject.restart()
        await machines_of(subject).adopt(HOST, deadline=DEADLINE)
        machines = machines_of(subject)


def machines_of(subject: Subject) -> Machines:
    return subject.hypervisor.machines


@pytest.mark.holds("GUEST-49")
async def test_a_run_becomes_what_is_asked_and_asked_again_nothing_happens(subject: Subject) -> None:
    who, made = await runs(subject, disk(0), disk(1))
    machines = subject.hypervisor.machines
    assert (await machines.alter(who, made, deadline=DEADLINE)).spec == made
    some = DiskLimits(iops=100)
    wanted = msgspec.structs.replace(made, disks=(disk(0), disk(1, limits=some)))
    for _ in range(2):
        altered = await machines.alter(who, wanted, deadline=DEADLINE)
        assert (altered.spec, altered.waits) == (wanted, ())
    await subject.restart()
    await subject.hypervisor.machines.adopt(HOST, deadline=DEADLINE)
    altered = await subject.hypervisor.machines.alter(who, wanted, deadline=DEADLINE)
    assert altered.spec == wanted, "a server that comes next knows what it is made of"
    assert (await subject.hypervisor.machines.facts(who, deadline=DEADLINE)).fact is Fact.HELD


@pytest.mark.holds("GUEST-49")
async def test_only_this_very_run_is_changed_and_silence_is_unknown(subject: Subject) -> None:
    who, made = await runs(subject, disk(0))
    machines = subject.hypervisor.machines
    with pytest.raises(NotRunning):
        await machines.alter(next_run(who), made, deadline=DEADLINE)
    limited = msgspec.structs.replace(made, disks=(disk(0, limits=DiskLimits(iops=9)),))
    subject.hang(who)
    try:
        with pytest.raises((Unknown, HypervisorError)):
            await machines.alter(who, limited, deadline=0.5)
    finally:
        subject.wake(who)
    await machines.stop(who, Stop.NOW, deadline=DEADLINE)
    with pytest.raises(NotRunning):
        await machines.alter(who, made, deadline=DEADLINE)


async def becomes(subject: Subject, who: Incarnation, made: MachineSpec, *disks: DiskSpec, **more: object) -> Altered:
    """What comes of asking for these disks."""
    wanted = msgspec.structs.replace(made, disks=disks, **more)
    return await subject.hypervisor.machines.alter(who, wanted, deadline=DEADLINE)


def iso(number: int, bus: Bus = Bus.USB) -> DiskSpec:
    return disk(number, bus, readonly=True, cdrom=True)


@pytest.mark.holds("GUEST-50")
@pytest.mark.parametrize("bus", list(Bus))
async def test_disks_are_added_and_removed_and_their_media_are_free_again(subject: Subject, bus: Bus) -> None:
    """Also into a machine that has no controller for them yet; a machine that does not run keeps a BLOCK disk."""
    who, made = await runs(subject)
    altered = await becomes(subject, who, made, disk(0, bus), disk(1, bus, readonly=True))
    assert (altered.spec.disks, altered.waits) == ((disk(0, bus), disk(1, bus, readonly=True)), ())
    await subject.restart()
    await subject.hypervisor.machines.adopt(HOST, deadline=DEADLINE)
    altered = await becomes(subject, who, made, disk(1, bus, readonly=True))
    if bus is Bus.BLOCK and altered.waits:
        (wait,) = altered.waits
        assert (wait.field, wait.medium) == ("disks", medium(0).medium) and "has not released" in wait.why
        assert altered.spec.disks == (disk(1, bus, readonly=True), disk(0, bus)), "behind what is asked for"
        return
    assert (altered.spec.disks, altered.waits) == ((disk(1, bus, readonly=True),), ())
    altered = await becomes(subject, who, made, disk(1, bus, readonly=True), disk(0, Bus.USB), disk(2, bus))
    assert altered.spec.disks == (disk(1, bus, readonly=True), disk(0, Bus.USB), disk(2, bus)), altered.waits


@pytest.mark.holds("GUEST-51")
@pytest.mark.parametrize("bus", [Bus.USB, Bus.VIRTIO])
async def test_an_iso_is_changed_in_its_drive_ejected_and_put_into_an_empty_one(subject: Subject, bus: Bus) -> None:
    who, made = await runs(subject, iso(0, bus), disk(1))
    altered = await becomes(subject, who, made, iso(2, bus), disk(1))
    assert (altered.spec.disks, altered.spec.drives, altered.waits) == ((iso(2, bus), disk(1)), (), ())
    altered = await becomes(subject, who, made, disk(1))
    assert (altered.spec.disks, altered.spec.drives, altered.waits) == ((disk(1),), (bus,), ()), "the drive stays"
    await subject.restart()
    await subject.hypervisor.machines.adopt(HOST, deadline=DEADLINE)
    altered = await becomes(subject, who, made, iso(3, bus), disk(1))
    assert (altered.spec.disks, altered.spec.drives, altered.waits) == ((iso(3, bus), disk(1)), (), ())
    altered = await becomes(subject, who, made, iso(3, bus), disk(1), drives=(bus,))
    assert (altered.spec.drives, altered.waits) == ((bus,), ()), "one more, empty"
    altered = await becomes(subject, who, made, iso(3, bus), disk(1), iso(0, bus))
    assert sorted(one.media.medium for one in altered.spec.disks) == sorted(medium(one).medium for one in (3, 1, 0))
    assert altered.spec.drives == ()


@pytest.mark.holds("GUEST-50")
async def test_the_boot_order_changes_with_the_list(subject: Subject) -> None:
    """Also of what was plugged, and of a CD-ROM that comes back into its drive."""
    who, made = await runs(subject, iso(0), disk(1, Bus.BLOCK), disk(2))
    for disks in (
        (disk(2), disk(1, Bus.BLOCK), iso(0)),
        (disk(3, Bus.USB), disk(2), disk(1, Bus.BLOCK)),
        (disk(1, Bus.BLOCK), disk(2), iso(4), disk(3, Bus.USB)),
    ):
        altered = await becomes(subject, who, made, *disks)
        assert (altered.spec.disks, altered.waits) == (disks, ())


@pytest.mark.holds("GUEST-52")
async def test_what_cannot_change_while_it_runs_waits_with_its_reason(subject: Subject) -> None:
    who, made = await runs(subject, disk(0), disk(1, Bus.BLOCK))
    altered = await becomes(subject, who, made, disk(0, cache=Cache.NONE), disk(1, Bus.BLOCK))
    assert altered.spec.disks == (disk(0), disk(1, Bus.BLOCK))
    assert [(one.field, one.medium) for one in altered.waits] == [("disks", medium(0).medium)]
    altered = await becomes(subject, who, made, disk(0))
    assert altered.spec.disks == (disk(0), disk(1, Bus.BLOCK)), "at its place on the root bus it cannot be taken out"
    assert [(one.field, one.medium) for one in altered.waits] == [("disks", medium(1).medium)]
    old = msgspec.structs.replace(made, hardware=FIRST_HARDWARE, held=True, disks=())
    other = machine()
    await subject.hypervisor.machines.start(other, old, deadline=DEADLINE)
    altered = await becomes(subject, other, old, disk(2, Bus.BLOCK))
    assert altered.spec.disks == () and "needs hardware 2" in altered.waits[0].why
    usb = msgspec.structs.replace(old, disks=(disk(2, Bus.USB), disk(3)))
    third = machine()
    await subject.hypervisor.machines.start(third, usb, deadline=DEADLINE)
    added = (disk(2, Bus.USB), disk(3), disk(4, Bus.USB), disk(5))
    altered = await becomes(subject, third, usb, *added)
    assert (altered.spec.disks, altered.waits) == (added, ()), "by the controllers that are there"


@pytest.mark.holds("GUEST-59")
@pytest.mark.parametrize("bus", list(Bus))
async def test_a_disk_becomes_larger_while_its_machine_runs_and_never_smaller(subject: Subject, bus: Bus) -> None:
    who, _ = await runs(subject, disk(0, bus), disk(1, bus, readonly=True))
    machines = subject.hypervisor.machines
    for _again in range(2):
        await machines.resize(who, medium(0), 4 << 20, deadline=DEADLINE)
    for media, size, words in (
        (medium(0), 2 << 20, "4,194,304 bytes already"),
        (medium(1), 4 << 20, "no such disk to write to"),
        (medium(2), 4 << 20, "no such disk to write to"),
    ):
        with pytest.raises(HypervisorError, match=words):
            await machines.resize(who, media, size, deadline=DEADLINE)
    await subject.restart()
    await subject.hypervisor.machines.adopt(HOST, deadline=DEADLINE)
    await subject.hypervisor.machines.resize(who, medium(0), 5 << 20, deadline=DEADLINE)
    with pytest.raises(NotRunning):
        await subject.hypervisor.machines.resize(next_run(who), medium(0), 8 << 20, deadline=DEADLINE)
