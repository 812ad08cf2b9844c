"""The law of the port about machines that are changed while they run."""

from __future__ import annotations

import msgspec
import pytest

from tests.ports.subjects import DEADLINE, HOST, Subject, machine, next_run, spec
from velocity.hypervisor.port import (
    Bus,
    DiskLimits,
    DiskSpec,
    Fact,
    HypervisorError,
    Incarnation,
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
    return who, made


@pytest.mark.holds("GUEST-350")
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


@pytest.mark.holds("GUEST-350")
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
