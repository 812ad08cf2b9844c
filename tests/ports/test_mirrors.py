"""The law of the port about disks that are copied while their machines run."""

from __future__ import annotations

import msgspec
import pytest

from tests.patience import asked_until
from tests.ports.subjects import DEADLINE, HOST, Subject, next_run
from tests.ports.test_changes import disk, medium, runs
from velocity.hypervisor.port import Bus, DiskLimits, HypervisorError, Incarnation, NotRunning
from velocity.storage.port import MediaRef

pytestmark = pytest.mark.anyio

SOURCE = medium(0)
TARGET = msgspec.structs.replace(SOURCE, format="raw")


async def copied(subject: Subject, who: Incarnation, target: MediaRef = TARGET, *, compact: bool = False) -> None:
    """Returns when both are the same."""
    mirrors = subject.hypervisor.mirrors
    subject.provide_beside(target)
    await mirrors.begin(who, SOURCE, target, compact=compact, deadline=DEADLINE)
    await asked_until(lambda: mirrors.progress(who, SOURCE, deadline=DEADLINE), lambda progress: progress.ready)


@pytest.mark.holds("GUEST-84")
@pytest.mark.parametrize("bus", list(Bus))
async def test_a_disk_is_taken_elsewhere_and_the_run_is_of_the_new_one(subject: Subject, bus: Bus) -> None:
    who, made = await runs(subject, disk(0, bus), disk(1))
    await copied(subject, who)
    mirrors = subject.hypervisor.mirrors
    assert (await subject.hypervisor.machines.alter(who, made, deadline=DEADLINE)).spec == made, "until then the old"
    await mirrors.hold(who, SOURCE, deadline=DEADLINE)
    subject.settle(TARGET)
    for _ in range(2):
        assert await mirrors.settle(who, TARGET, deadline=DEADLINE)
    wanted = msgspec.structs.replace(made, disks=(disk(0, bus, media=TARGET), disk(1)))
    altered = await subject.hypervisor.machines.alter(who, wanted, deadline=DEADLINE)
    assert (altered.spec, altered.waits) == (wanted, ())


@pytest.mark.holds("GUEST-84")
@pytest.mark.parametrize("held", [False, True])
async def test_what_is_given_up_leaves_the_run_with_what_it_had(subject: Subject, held: bool) -> None:
    """A BLOCK disk of a machine that has not booted cannot be taken out and put in again."""
    who, made = await runs(subject, disk(0, Bus.BLOCK))
    mirrors = subject.hypervisor.mirrors
    assert not await mirrors.settle(who, SOURCE, deadline=DEADLINE), "nothing was copied"
    await copied(subject, who)
    if held:
        await mirrors.hold(who, SOURCE, deadline=DEADLINE)
    for _ in range(2):
        assert not await mirrors.settle(who, SOURCE, deadline=DEADLINE)
    altered = await subject.hypervisor.machines.alter(who, made, deadline=DEADLINE)
    assert (altered.spec, altered.waits) == (made, ())
    with pytest.raises(HypervisorError, match="not being copied"):
        await mirrors.progress(who, SOURCE, deadline=DEADLINE)
    await copied(subject, who)
    await mirrors.settle(who, SOURCE, deadline=DEADLINE)


@pytest.mark.holds("GUEST-85")
@pytest.mark.parametrize("moved", [False, True])
async def test_a_server_that_comes_next_takes_the_one_that_the_name_says(subject: Subject, moved: bool) -> None:
    """The server is killed with what the guest writes held back, before its commit or behind it."""
    who, made = await runs(subject, disk(0, Bus.BLOCK), disk(1))
    await copied(subject, who)
    await subject.hypervisor.mirrors.hold(who, SOURCE, deadline=DEADLINE)
    if moved:
        subject.settle(TARGET)
    await subject.restart()
    await subject.hypervisor.machines.adopt(HOST, deadline=DEADLINE)
    now = TARGET if moved else SOURCE
    assert await subject.hypervisor.mirrors.settle(who, now, deadline=DEADLINE) is moved
    wanted = msgspec.structs.replace(made, disks=(disk(0, Bus.BLOCK, media=now), disk(1)))
    altered = await subject.hypervisor.machines.alter(who, wanted, deadline=DEADLINE)
    assert (altered.spec, altered.waits) == (wanted, ())


@pytest.mark.holds("GUEST-84")
async def test_a_disk_is_copied_once_at_a_time_and_only_what_is_written_to(subject: Subject) -> None:
    who, _ = await runs(subject, disk(0), disk(1, readonly=True))
    mirrors = subject.hypervisor.mirrors
    with pytest.raises(HypervisorError, match="no such disk"):
        await mirrors.begin(who, medium(1), TARGET, compact=False, deadline=DEADLINE)
    await copied(subject, who)
    with pytest.raises(HypervisorError, match="already"):
        await mirrors.begin(who, SOURCE, TARGET, compact=False, deadline=DEADLINE)
    with pytest.raises(NotRunning):
        await mirrors.settle(next_run(who), SOURCE, deadline=DEADLINE)
    await mirrors.settle(who, SOURCE, deadline=DEADLINE)


@pytest.mark.holds("GUEST-84")
async def test_the_same_name_may_be_written_anew(subject: Subject) -> None:
    """Which of the two files has it is told by the files."""
    who, made = await runs(subject, disk(0))
    await copied(subject, who, SOURCE, compact=True)
    await subject.hypervisor.mirrors.hold(who, SOURCE, deadline=DEADLINE)
    subject.settle(SOURCE)
    for _ in range(2):
        assert await subject.hypervisor.mirrors.settle(who, SOURCE, deadline=DEADLINE)
    altered = await subject.hypervisor.machines.alter(who, made, deadline=DEADLINE)
    assert (altered.spec, altered.waits) == (made, ())


@pytest.mark.holds("GUEST-84")
async def test_of_a_disk_that_was_copied_before_only_the_last_copy_counts(subject: Subject) -> None:
    """Its limits change meanwhile."""
    who, made = await runs(subject, disk(0))
    mirrors = subject.hypervisor.mirrors
    await copied(subject, who, SOURCE, compact=True)
    await mirrors.hold(who, SOURCE, deadline=DEADLINE)
    subject.settle(SOURCE)
    assert await mirrors.settle(who, SOURCE, deadline=DEADLINE)
    await copied(subject, who, SOURCE, compact=True)
    limited = msgspec.structs.replace(made, disks=(disk(0, limits=DiskLimits(iops=9)),))
    assert (await subject.hypervisor.machines.alter(who, limited, deadline=DEADLINE)).spec == limited
    for _ in range(2):
        assert not await mirrors.settle(who, SOURCE, deadline=DEADLINE), "this one was given up"
    altered = await subject.hypervisor.machines.alter(who, limited, deadline=DEADLINE)
    assert (altered.spec, altered.waits) == (limited, ())


@pytest.mark.holds("GUEST-84")
async def test_what_is_copied_stays_until_that_is_over(subject: Subject) -> None:
    who, made = await runs(subject, disk(0), disk(1))
    await copied(subject, who)
    without = msgspec.structs.replace(made, disks=(disk(1),))
    altered = await subject.hypervisor.machines.alter(who, without, deadline=DEADLINE)
    assert altered.spec.disks == (disk(1), disk(0))
    ((field, medium_, why),) = ((one.field, one.medium, one.why) for one in altered.waits)
    assert (field, medium_) == ("disks", SOURCE.medium) and "being moved" in why
    await subject.hypervisor.mirrors.settle(who, SOURCE, deadline=DEADLINE)
    altered = await subject.hypervisor.machines.alter(who, without, deadline=DEADLINE)
    assert (altered.spec.disks, altered.waits) == ((disk(1),), ())


@pytest.mark.holds("GUEST-85")
async def test_a_run_that_ends_meanwhile_says_so(subject: Subject) -> None:
    who, _ = await runs(subject, disk(0))
    await copied(subject, who)
    subject.kill(who)

    async def ended() -> bool:
        try:
            await subject.hypervisor.mirrors.progress(who, SOURCE, deadline=DEADLINE)
        except NotRunning:
            return True
        return False

    await asked_until(ended)
    with pytest.raises(NotRunning):
        await subject.hypervisor.mirrors.hold(who, SOURCE, deadline=DEADLINE)
