"""The keeper and what its machine does by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.machines.keeping import Keeping, keeping
from tests.patience import PATIENCE
from velocity.contract.machines import State
from velocity.hypervisor.fake import FakeHypervisor, FakeMachines
from velocity.hypervisor.port import Fact, FactCause, FactReport, HostId, Incarnation
from velocity.machines.run.life import Life
from velocity.machines.run.observer import Observer
from velocity.machines.run.states import Cause

pytestmark = pytest.mark.anyio


async def test_each_start_has_a_new_epoch(k: Keeping) -> None:
    for epoch in (1, 2, 3):
        await k.keeper.request_state(Cause.ASK_RUN)
        assert k.keeper.who.epoch == epoch == k.hypervisor.machines.started[-1].epoch
        await k.keeper.request_state(Cause.ASK_KILL)
    assert k.keeper.state is State.STOPPED


async def test_facts_of_an_older_run_are_dropped(k: Keeping) -> None:
    await k.keeper.request_state(Cause.ASK_RUN)
    await k.keeper.request_state(Cause.ASK_KILL)
    await k.keeper.request_state(Cause.ASK_RUN)
    await k.tell(Fact.ENDED, FactCause.KILLED, epoch=1)
    assert k.keeper.state is State.RUNNING


@pytest.mark.holds("STATE-8")
async def test_of_two_facts_the_one_with_the_higher_number_holds(k: Keeping) -> None:
    await k.keeper.request_state(Cause.ASK_RUN)
    who = k.keeper.who
    k.keeper.apply_fact(FactReport(who, Fact.PAUSED, FactCause.ASKED, number=1000))
    for number in (999, 1000):
        k.keeper.apply_fact(FactReport(who, Fact.RUNNING, FactCause.ASKED, number=number))
        assert k.keeper.state is State.PAUSED


@pytest.mark.parametrize(
    ("fact", "why", "state"),
    [
        (Fact.PAUSED, FactCause.GUEST_PANICKED, State.PAUSED),
        (Fact.PAUSED, FactCause.DISK_FULL, State.PAUSED),
        (Fact.ENDED, FactCause.GUEST_SHUTDOWN, State.STOPPED),
        (Fact.ENDED, FactCause.KILLED, State.STOPPED),
        (Fact.RUNNING, FactCause.GUEST_RESET, State.RUNNING),
    ],
)
async def test_what_a_guest_does_by_itself(k: Keeping, fact: Fact, why: FactCause, state: State) -> None:
    await k.keeper.request_state(Cause.ASK_RUN)
    await k.tell(fact, why)
    assert k.keeper.state is state
    assert k.reason() == why.value
    assert k.store.progress == k.keeper.progress, "and it is kept"


@pytest.mark.holds("STATE-9")
@pytest.mark.parametrize("why", [FactCause.GUEST_PANICKED, FactCause.DISK_FULL, FactCause.UNKNOWN])
async def test_a_reason_goes_when_a_clean_fact_follows(k: Keeping, why: FactCause) -> None:
    await k.keeper.request_state(Cause.ASK_RUN)
    await k.tell(Fact.PAUSED, why)
    assert k.reason() == why.value
    await k.tell(Fact.RUNNING, FactCause.ASKED)
    assert (k.keeper.state, k.reason()) == (State.RUNNING, None)


@pytest.mark.parametrize("fact", [Fact.RUNNING, Fact.PAUSED])
async def test_what_lives_is_never_said_to_have_ended(k: Keeping, fact: Fact) -> None:
    await k.keeper.request_state(Cause.ASK_RUN)
    await k.tell(fact, FactCause.UNKNOWN)
    reason = k.keeper.progress.reason
    assert reason is None or "ended" not in reason.message
    assert (reason is None) == (fact is Fact.RUNNING)


async def test_what_the_process_tells_does_not_wait_for_the_disk(k: Keeping) -> None:
    """A pause and a resume are answered before they are written down, and written."""
    await k.keeper.request_state(Cause.ASK_RUN)
    await k.settle()
    disk = k.store.disk = asyncio.Event()
    for cause, state in ((Cause.ASK_PAUSE, State.PAUSED), (Cause.ASK_RUN, State.RUNNING)):
        assert await asyncio.wait_for(k.keeper.request_state(cause), PATIENCE) is state
    disk.set()
    await k.settle()
    assert k.store.progress == k.keeper.progress


async def test_what_was_learnt_from_the_process_needs_no_note(k: Keeping) -> None:
    await k.keeper.request_state(Cause.ASK_RUN)
    await k.settle()
    k.hypervisor.play(k.machine.uuid, Fact.PAUSED, FactCause.ASKED, seen=False)
    await k.restart()
    assert (k.keeper.state, k.keeper.progress.wanted) == (State.PAUSED, State.PAUSED)
    k.hypervisor.play(k.machine.uuid, Fact.PAUSED, FactCause.DISK_FULL, seen=False)
    await k.restart()
    assert k.keeper.progress.wanted is State.PAUSED


class Slow(FakeMachines):
    """News comes some turns of the loop after the answer to the call that has led to it."""

    looks = 0
    """How often a machine was asked what it does."""

    async def facts(self, who: Incarnation, *, deadline: float) -> FactReport:
        self.looks += 1
        return await super().facts(who, deadline=deadline)

    async def news(self, host: HostId) -> AsyncIterator[FactReport]:
        async for one in super().news(host):
            for _ in range(20):
                await asyncio.sleep(0)
            yield one


async def test_what_a_call_has_led_to_is_heard_and_not_asked() -> None:
    hypervisor = FakeHypervisor(machines=Slow)
    async with keeping(hypervisor) as k:
        for cause, state in (
            (Cause.ASK_RUN, State.RUNNING),
            (Cause.ASK_PAUSE, State.PAUSED),
            (Cause.ASK_RUN, State.RUNNING),
            (Cause.ASK_RESET, State.RUNNING),
            (Cause.ASK_KILL, State.STOPPED),
        ):
            assert await k.keeper.request_state(cause) is state
        await k.settle()
        assert isinstance(hypervisor.machines, Slow)
        assert hypervisor.machines.looks == 0


async def test_another_host_numbers_its_facts_from_the_beginning(k: Keeping) -> None:
    other = HostId(2)
    observer = Observer(other, k.hypervisor.machines, lambda uuid: k.keeper, lambda: [k.keeper])
    there = replace(k.house, host=other, observer=observer)

    async def place(_: Life) -> HostId:
        return other

    k.keeper.context = replace(k.house, place=place, rehome=lambda _keeper, _host: there)
    k.keeper.machine = replace(k.machine, host=HostId(1))
    k.keeper.number = 1000
    await observer.open()
    try:
        assert await k.keeper.request_state(Cause.ASK_RUN) is State.RUNNING
        assert k.keeper.who.host == other
    finally:
        await observer.close()
