"""The law of the port about the lives of machines: numbers, ends, epochs."""

from __future__ import annotations

import asyncio
from typing import get_type_hints

import pytest

from tests.patience import asked_until
from tests.ports.subjects import DEADLINE, HOST, Listener, Subject, machine, next_run, spec
from velocity.hypervisor import port
from velocity.hypervisor.port import (
    Fact,
    FactCause,
    FactReport,
    Hypervisor,
    HypervisorError,
    Incarnation,
    NotRunning,
    Stop,
)
from velocity.node import wire

pytestmark = pytest.mark.anyio


async def start(subject: Subject, who: Incarnation, *, held: bool = True) -> int:
    hypervisor = subject.hypervisor
    return await hypervisor.machines.start(who, spec(hypervisor, held=held, displays=0), deadline=DEADLINE)


async def fact(hypervisor: Hypervisor, who: Incarnation) -> Fact:
    return (await hypervisor.machines.facts(who, deadline=DEADLINE)).fact


async def listed(hypervisor: Hypervisor) -> list[tuple[Incarnation, Fact, FactCause]]:
    listing = await hypervisor.machines.adopt(HOST, deadline=DEADLINE)
    assert listing.complete
    return [(one.who, one.fact, one.why) for one in listing.found]


async def test_a_life(subject: Subject) -> None:
    who, hypervisor = machine(), subject.hypervisor
    await start(subject, who, held=False)
    assert await fact(hypervisor, who) is Fact.RUNNING
    await start(subject, who, held=False)  # the same epoch again is success
    await hypervisor.machines.pause(who, deadline=DEADLINE)
    assert await fact(hypervisor, who) is Fact.PAUSED
    await hypervisor.machines.pause(who, deadline=DEADLINE)
    await hypervisor.machines.resume(who, deadline=DEADLINE)
    assert await fact(hypervisor, who) is Fact.RUNNING
    await hypervisor.machines.stop(who, Stop.POWER_BUTTON, deadline=DEADLINE)
    await hypervisor.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    assert await fact(hypervisor, who) is Fact.ENDED
    await hypervisor.machines.stop(who, Stop.NOW, deadline=DEADLINE)  # already gone is success
    with pytest.raises(NotRunning):
        await hypervisor.machines.pause(who, deadline=DEADLINE)
    await hypervisor.machines.acknowledge(who, deadline=DEADLINE)
    assert await fact(hypervisor, who) is Fact.ABSENT


async def test_the_number_of_a_call_covers_what_it_did_and_numbers_grow(subject: Subject) -> None:
    who, other, hypervisor = machine(), machine(), subject.hypervisor
    listener = Listener(hypervisor)

    async def told(number: int, *facts: Fact) -> None:
        await listener.up_to(number)
        last = listener.last(who, number)
        assert last is not None
        assert (last.fact, last.why) in [(one, FactCause.ASKED) for one in facts]

    await told(await start(subject, who), Fact.HELD)
    await told(await hypervisor.machines.pause(who, deadline=DEADLINE), Fact.HELD)
    await start(subject, other)
    await told(await hypervisor.machines.resume(who, deadline=DEADLINE), Fact.RUNNING)
    await told(await hypervisor.machines.resume(who, deadline=DEADLINE), Fact.RUNNING)
    await told(await hypervisor.machines.pause(who, deadline=DEADLINE), Fact.PAUSED)
    await told(await hypervisor.machines.pause(who, deadline=DEADLINE), Fact.PAUSED)
    now = await hypervisor.machines.facts(who, deadline=DEADLINE)
    assert now.fact is Fact.PAUSED
    number = await hypervisor.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    await told(number, Fact.ENDED)
    assert number > now.number
    await hypervisor.machines.stop(other, Stop.NOW, deadline=DEADLINE)
    numbers = [one.number for one in listener.heard]
    assert numbers == sorted(set(numbers))
    await listener.close()


@pytest.mark.holds("STATE-21")
async def test_a_reset_goes_on_running_or_waits_before_the_first_instruction(subject: Subject) -> None:
    who, machines = machine(), subject.hypervisor.machines
    listener = Listener(subject.hypervisor)
    await start(subject, who, held=False)
    await machines.reset(who, deadline=DEADLINE)
    assert await fact(subject.hypervisor, who) is Fact.RUNNING
    await machines.pause(who, deadline=DEADLINE)
    await listener.up_to(await machines.reset(who, deadline=DEADLINE))
    last = listener.last(who)
    assert last is not None
    assert (last.fact, last.why) == (Fact.HELD, FactCause.ASKED)
    await machines.reset(who, deadline=DEADLINE)
    assert await fact(subject.hypervisor, who) is Fact.HELD
    await machines.resume(who, deadline=DEADLINE)
    assert await listed(subject.hypervisor) == [(who, Fact.RUNNING, FactCause.ASKED)]
    await machines.stop(who, Stop.NOW, deadline=DEADLINE)
    with pytest.raises(NotRunning):
        await machines.reset(who, deadline=DEADLINE)
    await listener.close()


async def test_an_end_is_told_until_it_is_acknowledged_over_every_restart(subject: Subject) -> None:
    who = machine()
    await start(subject, who)
    await subject.hypervisor.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    for _ in range(3):
        for _ in range(2):
            assert await listed(subject.hypervisor) == [(who, Fact.ENDED, FactCause.ASKED)]
            told = await subject.hypervisor.machines.facts(who, deadline=DEADLINE)
            assert (told.fact, told.why) == (Fact.ENDED, FactCause.ASKED)
        await subject.restart()
    await subject.hypervisor.machines.acknowledge(who, deadline=DEADLINE)
    await subject.hypervisor.machines.acknowledge(who, deadline=DEADLINE)
    assert await listed(subject.hypervisor) == []
    await subject.restart()
    assert await listed(subject.hypervisor) == []


@pytest.mark.holds("GUEST-15")
@pytest.mark.parametrize("watched", [True, False])
async def test_an_end_by_itself_keeps_its_cause_over_every_restart(subject: Subject, watched: bool) -> None:
    who = machine()
    await start(subject, who)
    if watched:
        listener = Listener(subject.hypervisor)
        subject.kill(who)
        first = await listener.hears(who, Fact.ENDED)
        await listener.close()
        assert first.why is FactCause.KILLED
    else:
        await subject.restart(lambda: subject.kill(who))
        first = (await subject.hypervisor.machines.adopt(HOST, deadline=DEADLINE)).found[0]
    for _ in range(2):
        await subject.restart()
        (found,) = (await subject.hypervisor.machines.adopt(HOST, deadline=DEADLINE)).found
        assert (found.who, found.fact, found.why, found.detail) == (who, Fact.ENDED, FactCause.KILLED, first.detail)
    await subject.hypervisor.machines.acknowledge(who, deadline=DEADLINE)
    assert await fact(subject.hypervisor, who) is Fact.ABSENT


async def test_the_start_of_a_higher_epoch_acknowledges(subject: Subject) -> None:
    who = machine()
    await start(subject, who)
    await subject.hypervisor.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    following = next_run(who)
    await start(subject, following)
    assert await listed(subject.hypervisor) == [(following, Fact.HELD, FactCause.ASKED)]
    assert await fact(subject.hypervisor, who) is Fact.ABSENT
    await subject.hypervisor.machines.acknowledge(who, deadline=DEADLINE)
    assert await fact(subject.hypervisor, following) is Fact.HELD, "what names an older run touches nothing"


async def test_an_older_epoch_is_refused(subject: Subject) -> None:
    who, hypervisor = machine(epoch=5), subject.hypervisor
    older = next_run(who, -1)
    await start(subject, who)
    with pytest.raises(HypervisorError):
        await start(subject, older)
    await hypervisor.machines.stop(older, Stop.NOW, deadline=DEADLINE)
    assert await fact(hypervisor, who) is Fact.HELD, "what names an older run touches nothing"
    with pytest.raises(NotRunning):
        await hypervisor.machines.pause(older, deadline=DEADLINE)
    await hypervisor.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    await start(subject, next_run(who))


@pytest.mark.holds("GUEST-16")
async def test_one_that_is_said_to_be_absent_or_has_ended_is_never_started(subject: Subject) -> None:
    absent, stopped, ended = machine(epoch=3), machine(epoch=3), machine(epoch=3)
    assert await fact(subject.hypervisor, absent) is Fact.ABSENT
    await subject.hypervisor.machines.stop(stopped, Stop.NOW, deadline=DEADLINE)
    await start(subject, ended)
    await subject.hypervisor.machines.stop(ended, Stop.NOW, deadline=DEADLINE)
    await subject.hypervisor.machines.acknowledge(ended, deadline=DEADLINE)
    for who in (absent, stopped, ended):
        for late in (who, next_run(who, -1)):
            with pytest.raises(HypervisorError):
                await start(subject, late)
    assert await listed(subject.hypervisor) == []
    await start(subject, next_run(absent))


async def test_a_question_about_one_takes_no_others_end(subject: Subject) -> None:
    asked, ended = machine(), machine()
    for who in (asked, ended):
        await start(subject, who)
    listener = Listener(subject.hypervisor)
    subject.kill(ended)
    await listener.hears(ended, Fact.ENDED)
    for _ in range(3):
        assert await fact(subject.hypervisor, asked) is Fact.HELD
        assert (ended, Fact.ENDED, FactCause.KILLED) in await listed(subject.hypervisor)
        assert await fact(subject.hypervisor, ended) is Fact.ENDED
    await listener.close()


@pytest.mark.holds("GUEST-17")
async def test_a_stop_overtakes_a_start(subject: Subject) -> None:
    who = machine()
    subject.hold_starts()
    starting = asyncio.create_task(start(subject, who))
    await asyncio.sleep(0.1)
    assert not starting.done()
    await asyncio.wait_for(subject.hypervisor.machines.stop(who, Stop.NOW, deadline=DEADLINE), DEADLINE)
    with pytest.raises(HypervisorError):
        await asyncio.wait_for(starting, DEADLINE / 2)
    assert await listed(subject.hypervisor) == []
    with pytest.raises(HypervisorError):
        await start(subject, who)


async def test_adoption_finds_what_runs_and_what_it_does(subject: Subject) -> None:
    held, paused = machine(), machine(epoch=7)
    await start(subject, held)
    await start(subject, paused)
    await subject.hypervisor.machines.resume(paused, deadline=DEADLINE)
    await subject.hypervisor.machines.pause(paused, deadline=DEADLINE)
    await subject.restart()
    expected = {(held, Fact.HELD, FactCause.ASKED), (paused, Fact.PAUSED, FactCause.ASKED)}
    first = await subject.hypervisor.machines.adopt(HOST, deadline=DEADLINE)
    assert {(one.who, one.fact, one.why) for one in first.found} == expected
    again = await subject.hypervisor.machines.adopt(HOST, deadline=DEADLINE)
    assert {(one.who, one.fact, one.why) for one in again.found} == expected
    assert again.number >= first.number
    listener = Listener(subject.hypervisor)
    await subject.hypervisor.machines.resume(paused, deadline=DEADLINE)
    await listener.hears(paused, Fact.RUNNING)
    await listener.close()


@pytest.mark.holds("GUEST-18")
async def test_a_silent_one_is_listed_in_time_and_tells_by_itself_when_it_answers(subject: Subject) -> None:
    silent, fine = machine(), machine()
    for who in (silent, fine):
        await start(subject, who)
    await subject.restart(lambda: subject.hang(silent))
    listener = Listener(subject.hypervisor)

    async def listing() -> Fact:
        """The fact of the fine one, which may come too late for a listing on a slow host."""
        found = (await asyncio.wait_for(subject.hypervisor.machines.adopt(HOST, deadline=2), DEADLINE)).found
        facts = {one.who: one.fact for one in found}
        assert facts.keys() == {silent, fine} and facts[silent] is Fact.SILENT
        return facts[fine]

    for _ in range(2):
        await asked_until(listing, lambda fact: fact is Fact.HELD)
    with pytest.raises(HypervisorError):
        await subject.hypervisor.machines.facts(silent, deadline=0.1)
    subject.wake(silent)
    await listener.hears(silent, Fact.HELD)
    assert await fact(subject.hypervisor, silent) is Fact.HELD
    await subject.hypervisor.machines.resume(silent, deadline=DEADLINE)
    await listener.hears(silent, Fact.RUNNING)
    await listener.close()


async def test_what_was_asked_of_a_silent_one_is_told_when_it_comes(subject: Subject) -> None:
    who = machine()
    await start(subject, who, held=False)
    listener = Listener(subject.hypervisor)
    subject.hang(who)
    with pytest.raises(HypervisorError):
        await subject.hypervisor.machines.pause(who, deadline=0.5)
    subject.wake(who)
    assert (await listener.hears(who, Fact.PAUSED)).why is FactCause.ASKED
    assert await fact(subject.hypervisor, who) is Fact.PAUSED
    await listener.close()


async def test_a_stop_overtakes_a_pause_that_hangs(subject: Subject) -> None:
    who = machine()
    await start(subject, who)
    subject.hang(who)
    pausing = asyncio.create_task(subject.hypervisor.machines.pause(who, deadline=10 * DEADLINE))
    await asyncio.sleep(0.3)
    await subject.hypervisor.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    with pytest.raises(HypervisorError):
        await asyncio.wait_for(pausing, DEADLINE)
    assert await listed(subject.hypervisor) == [(who, Fact.ENDED, FactCause.ASKED)]


async def test_what_is_kept_is_of_machines_that_do_not_run(subject: Subject) -> None:
    who = machine()
    await start(subject, who)
    assert list(await subject.hypervisor.hosts.kept(HOST, deadline=DEADLINE)) == []
    await subject.hypervisor.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    await subject.hypervisor.machines.acknowledge(who, deadline=DEADLINE)
    assert list(await subject.hypervisor.hosts.kept(HOST, deadline=DEADLINE)) == [who.machine]
    await subject.hypervisor.machines.forget(HOST, who.machine, deadline=DEADLINE)
    assert list(await subject.hypervisor.hosts.kept(HOST, deadline=DEADLINE)) == []


def test_all_of_the_port_crosses() -> None:
    """It is made of the declarations, so this is what a driver has to keep; nobody closes a driver from afar."""
    assert set(wire.MACHINES) == {name for name in dir(Hypervisor) if not name.startswith("_")}
    for name, calls in wire.MACHINES.items():
        protocol = get_type_hints(getattr(Hypervisor, name).fget)["return"]
        assert set(calls) == {one for one in dir(protocol) if not one.startswith("_")} - {"close"}
    declared = {name for calls in wire.MACHINES.values() for name in calls}
    assert {"start", "news", "adopt", "acknowledge", "open", "shot", "measure", "about"} < declared
    assert FactReport.__struct_config__.tag == "FactReport"
    errors = {one for one in vars(port).values() if isinstance(one, type) and issubclass(one, HypervisorError)}
    assert errors <= set(wire.KINDS.values()), "each error arrives as what it was"
