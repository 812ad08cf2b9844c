"""The law of the port about NICs, CPUs and memory that come and go while a machine runs."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.ports.subjects import DEADLINE, HOST, Subject, machine, spec
from velocity.hypervisor.port import Altered, DisplaySpec, Incarnation, MachineSpec, NatSpec, Stop

pytestmark = pytest.mark.anyio

FIRST, SECOND = NatSpec(1, "52:54:00:00:00:01"), NatSpec(2, "52:54:00:00:00:02")


async def runs(subject: Subject, **more: Any) -> tuple[Incarnation, MachineSpec]:
    """A machine that is loaded: its guest has not begun, and so answers to nothing."""
    who = machine()
    made = msgspec.structs.replace(spec(subject.hypervisor, held=True, displays=0), **more)
    await subject.hypervisor.machines.start(who, made, deadline=DEADLINE)
    return who, made


async def become(subject: Subject, who: Incarnation, made: MachineSpec, **more: Any) -> Altered:
    wanted = msgspec.structs.replace(made, **more)
    return await subject.hypervisor.machines.alter(who, wanted, deadline=DEADLINE)


async def another_server(subject: Subject) -> None:
    await subject.restart()
    await subject.hypervisor.machines.adopt(HOST, deadline=DEADLINE)


@pytest.mark.holds("GUEST-61")
async def test_cpus_come_up_to_the_maximum_of_the_start_and_stay(subject: Subject) -> None:
    who, made = await runs(subject, cpus=1, max_cpus=3)
    for _ in range(2):
        altered = await become(subject, who, made, cpus=2)
        assert (altered.spec.cpus, altered.waits) == (2, ())
    await another_server(subject)
    altered = await become(subject, who, made, cpus=5)
    assert altered.spec.cpus == 3
    assert [(one.field, "max_cpus" in one.why) for one in altered.waits] == [("cpus", True)]
    altered = await become(subject, who, made, cpus=1)
    assert altered.spec.cpus == 3
    assert [(one.field, "not removed" in one.why) for one in altered.waits] == [("cpus", True)]


@pytest.mark.holds("GUEST-80")
async def test_displays_get_other_names_at_once_and_another_size_if_the_guest_follows(subject: Subject) -> None:
    left, right = DisplaySpec("left", 800, 600), DisplaySpec("right", 640, 480)
    who, made = await runs(subject, displays=(left, right))
    subject.cling()
    renamed = msgspec.structs.replace(left, name="middle")
    altered = await become(subject, who, made, displays=(renamed, right))
    assert (altered.spec.displays, altered.waits) == ((renamed, right), ())
    larger = msgspec.structs.replace(right, width=1280, height=720)
    for _ in range(2):
        altered = await become(subject, who, made, displays=(renamed, larger))
        assert altered.spec.displays == (renamed, right), "nothing drives it that could follow"
        assert [(one.field, "right: the guest did not follow" in one.why) for one in altered.waits] == [
            ("displays", True)
        ]
    altered = await become(subject, who, made, displays=(left,))
    assert altered.spec.displays == (renamed, right)
    (wait,) = altered.waits
    assert (wait.field, wait.why) == ("displays", "displays are added and removed at a start")
    await another_server(subject)
    assert (await become(subject, who, made, displays=(renamed, right))).waits == ()


@pytest.mark.holds("GUEST-61")
async def test_without_a_maximum_cpus_and_memory_stay_as_they_were_at_the_start(subject: Subject) -> None:
    who, made = await runs(subject)
    altered = await become(subject, who, made, cpus=2, memory=128)
    assert (altered.spec.cpus, altered.spec.memory) == (made.cpus, made.memory)
    said = {one.field: one.why for one in altered.waits}
    assert said.keys() == {"cpus", "memory"}
    assert "max_cpus" in said["cpus"] and "max_memory_mib" in said["memory"]


@pytest.mark.holds("GUEST-62")
async def test_memory_comes_up_to_the_maximum_of_the_start_and_goes_down_to_what_it_had_then(subject: Subject) -> None:
    who, made = await runs(subject, memory=64, max_memory=128)
    for _ in range(2):
        altered = await become(subject, who, made, memory=97)
        assert (altered.spec.memory, altered.waits) == (97, ()), "an odd MiB is not told apart"
    await another_server(subject)
    altered = await become(subject, who, made, memory=200)
    assert altered.spec.memory == 128
    assert [one.field for one in altered.waits] == ["memory"]
    altered = await become(subject, who, made, memory=70)
    assert (altered.spec.memory, altered.waits) == (70, ())
    altered = await become(subject, who, made, memory=32)
    assert altered.spec.memory == 64
    assert [one.field for one in altered.waits] == ["memory"]


@pytest.mark.holds("GUEST-63")
async def test_a_nic_is_plugged_in_and_stays_until_the_guest_lets_go_of_it(subject: Subject) -> None:
    who, made = await runs(subject, nics=(FIRST,))
    for _ in range(2):
        altered = await become(subject, who, made, nics=(SECOND, FIRST))
        assert (altered.spec.nics, altered.waits) == ((SECOND, FIRST), ())
    await another_server(subject)
    subject.cling()
    unplugged = msgspec.structs.replace(SECOND, up=False)
    for _ in range(2):
        altered = await become(subject, who, made)
        assert altered.spec.nics == (FIRST, unplugged)
        assert [(one.field, "released" in one.why) for one in altered.waits] == [("nics", True)]
    altered = await become(subject, who, made, nics=(FIRST, SECOND))
    assert (altered.spec.nics, altered.waits) == ((FIRST, SECOND), ())
    await subject.hypervisor.machines.stop(who, Stop.NOW, deadline=DEADLINE)


@pytest.mark.holds("GUEST-63")
async def test_a_nic_of_the_start_is_only_unplugged_and_keeps_its_mac_address_until_the_next(subject: Subject) -> None:
    who, made = await runs(subject, nics=(FIRST,))
    other = msgspec.structs.replace(FIRST, mac="52:54:00:00:00:09")
    altered = await become(subject, who, made, nics=(other,))
    assert altered.spec.nics == (FIRST,)
    assert [(one.field, "MAC" in one.why) for one in altered.waits] == [("nics", True)]
    unplugged = msgspec.structs.replace(FIRST, up=False)
    altered = await become(subject, who, made, nics=())
    assert altered.spec.nics == (unplugged,)
    assert [(one.field, "loses its cable" in one.why) for one in altered.waits] == [("nics", True)]


@pytest.mark.holds("GUEST-64")
async def test_a_cable_is_pulled_and_plugged_at_the_start_and_later(subject: Subject) -> None:
    unplugged = msgspec.structs.replace(FIRST, up=False)
    who, made = await runs(subject, nics=(unplugged,))
    for wanted in (FIRST, FIRST, unplugged):
        altered = await become(subject, who, made, nics=(wanted,))
        assert (altered.spec.nics, altered.waits) == ((wanted,), ())
