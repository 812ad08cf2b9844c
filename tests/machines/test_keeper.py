"""The keeper and what it is asked."""

from __future__ import annotations

import asyncio

import pytest

from tests.machines.keeping import Keeping, keeping
from tests.patience import PATIENCE, eventually
from velocity.contract.machines import State
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.fake import Answer, FakeHypervisor
from velocity.hypervisor.port import (
    Fact,
    FactCause,
    FactReport,
    HostId,
    MachineSpec,
)
from velocity.machines.rules import Machine, Spec
from velocity.machines.run.states import Cause

pytestmark = pytest.mark.anyio


async def test_what_is_asked_is_written_before_it_is_done(k: Keeping) -> None:
    """A stop: with force, or by the power button, or of one that is paused and resumed for it."""
    for cause, forced in ((Cause.ASK_KILL, True), (Cause.ASK_STOP, False)):
        k.hypervisor.faults.deaf = True
        await k.keeper.request_state(Cause.ASK_RUN)
        await k.keeper.request_state(Cause.ASK_PAUSE)
        await k.settle()
        disk = k.store.disk = asyncio.Event()
        stopping = asyncio.create_task(k.keeper.request_state(cause))
        for _ in range(20):
            await asyncio.sleep(0)
        run = k.hypervisor.runs[k.machine.uuid]
        assert (run.fact, run.presses) == (Fact.PAUSED, 0), "not before it is written"
        disk.set()
        await stopping
        await k.settle()
        if not forced:
            assert (k.store.progress.wanted, k.store.progress.forced) == (State.STOPPED, False)
        await k.keeper.request_state(Cause.ASK_KILL)


@pytest.mark.holds("STATE-11")
async def test_a_graceful_stop_under_way_takes_nothing_from_a_forced_one(k: Keeping) -> None:
    """It was being written down when the forced stop came, and its note is done last."""
    await k.keeper.request_state(Cause.ASK_RUN)
    await k.settle()
    disk = k.store.disk = asyncio.Event()
    k.hypervisor.faults.answers.append(Answer.UNDER_WAY)
    graceful = asyncio.create_task(k.keeper.request_state(Cause.ASK_STOP))
    await eventually(lambda: k.keeper.busy)
    forced = asyncio.create_task(k.keeper.request_state(Cause.ASK_KILL))
    await eventually(lambda: k.keeper.progress.forced)
    disk.set()
    await asyncio.wait({graceful, forced}, timeout=PATIENCE)
    assert isinstance(forced.exception(), Refused), "nobody knows yet"
    await eventually(lambda: not k.keeper.doubtful)
    run = k.hypervisor.runs[k.machine.uuid]
    assert (k.keeper.state, k.keeper.progress.forced, run.presses) == (State.STOPPING, True, 0)
    k.hypervisor.faults.arrive(k.machine.uuid)
    await eventually(lambda: k.keeper.state is State.STOPPED)


@pytest.mark.holds("STATE-3")
async def test_requests_are_served_in_order(k: Keeping) -> None:
    causes = [Cause.ASK_RUN, Cause.ASK_PAUSE, Cause.ASK_RUN, Cause.ASK_PAUSE]
    states = await asyncio.gather(*(k.keeper.request_state(cause) for cause in causes))
    assert states == [State.RUNNING, State.PAUSED, State.RUNNING, State.PAUSED]


async def test_a_forced_stop_overtakes_a_start_and_what_waits_behind_it(k: Keeping) -> None:
    k.hypervisor.faults.hold = asyncio.Event()
    asked = [asyncio.create_task(k.keeper.request_state(cause)) for cause in (Cause.ASK_RUN, Cause.ASK_PAUSE)]
    await eventually(lambda: k.keeper.state is State.STARTING)
    assert await asyncio.wait_for(k.keeper.request_state(Cause.ASK_KILL), PATIENCE) is State.STOPPED
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(one, Refused) and one.problem is Problem.NOT_FROM_THIS_STATE for one in outcomes)
    assert (k.keeper.state, k.hypervisor.runs, k.reason()) == (State.STOPPED, {}, None)
    k.hypervisor.faults.hold = None
    assert await k.keeper.request_state(Cause.ASK_RUN) is State.RUNNING, "and the next start is free"


async def test_a_restart_by_force_of_one_that_starts_is_not_lost_as_that_is_heard_to_run(k: Keeping) -> None:
    """Heard in the moment in which it is asked for, before anything of it has begun."""
    hold = k.hypervisor.faults.hold = asyncio.Event()
    starting = asyncio.create_task(k.keeper.request_state(Cause.ASK_RUN))
    await eventually(lambda: k.keeper.state is State.STARTING)
    restarting = asyncio.create_task(k.keeper.restart(force=True))
    await asyncio.sleep(0)
    k.keeper.apply_fact(FactReport(k.keeper.who, Fact.RUNNING, FactCause.ASKED, number=k.keeper.number + 1))
    assert k.keeper.progress.restarts
    hold.set()
    k.hypervisor.faults.hold = None
    await asyncio.gather(starting, restarting, return_exceptions=True)
    await eventually(lambda: k.keeper.state is State.RUNNING and not k.keeper.progress.restarts)


async def test_a_restart_by_force_between_the_stop_and_the_start_of_another_one_is_that(k: Keeping) -> None:
    await k.keeper.request_state(Cause.ASK_RUN)
    held, begin = asyncio.Event(), k.store.begin_run

    async def slow(vmid: int, wanted: State, spec: Spec, host: HostId) -> int:
        await held.wait()
        return await begin(vmid, wanted, spec, host)

    k.store.begin_run = slow  # type: ignore[method-assign]
    await k.keeper.restart(force=True)
    await eventually(lambda: k.keeper.state is State.STOPPED and k.keeper.busy)
    assert await k.keeper.restart(force=True) is State.STOPPED
    held.set()
    await eventually(lambda: k.keeper.state is State.RUNNING and not k.keeper.progress.restarts)
    assert k.keeper.progress.epoch == 2, "it was started once more, not twice"


@pytest.mark.holds("STATE-10")
@pytest.mark.parametrize("moment", ["prepare", "store", "gate"])
async def test_a_forced_stop_overtakes_a_start_at_each_of_its_steps(k: Keeping, moment: str) -> None:
    held = asyncio.Event()
    prepare, begin = k.prepare, k.store.begin_run

    async def slow_prepare(machine: Machine) -> MachineSpec:
        await held.wait()
        return await prepare(machine)

    async def slow_begin(vmid: int, wanted: State, spec: Spec, host: HostId) -> int:
        await held.wait()
        return await begin(vmid, wanted, spec, host)

    if moment == "prepare":
        object.__setattr__(k.house, "prepare", slow_prepare)
    elif moment == "store":
        k.store.begin_run = slow_begin  # type: ignore[method-assign]
    else:
        for _ in range(4):
            await k.house.gate.acquire()
    start = asyncio.create_task(k.keeper.request_state(Cause.ASK_RUN))
    for _ in range(20):
        await asyncio.sleep(0)
    assert await asyncio.wait_for(k.keeper.request_state(Cause.ASK_KILL), PATIENCE) is State.STOPPED
    held.set()
    for _ in range(4 if moment == "gate" else 0):
        k.house.gate.release()
    with pytest.raises(Refused):
        await asyncio.wait_for(start, PATIENCE)
    await k.settle()
    assert (k.keeper.state, k.hypervisor.machines.started, k.store.progress.run) == (State.STOPPED, [], None)


async def test_a_held_vm_just_ends(k: Keeping) -> None:
    await k.keeper.request_state(Cause.ASK_PAUSE)
    assert await k.keeper.request_state(Cause.ASK_STOP) is State.STOPPED


async def test_a_graceful_stop_of_a_paused_vm_resumes_it_first(k: Keeping) -> None:
    k.hypervisor.faults.deaf = True
    await k.keeper.request_state(Cause.ASK_RUN)
    await k.keeper.request_state(Cause.ASK_PAUSE)
    assert await k.keeper.request_state(Cause.ASK_STOP) is State.STOPPING
    assert k.hypervisor.runs[k.machine.uuid].fact is Fact.RUNNING
    assert k.keeper.progress.stopping_since == 1000


@pytest.mark.holds("STATE-4")
async def test_the_button_is_pressed_until_it_is_heard() -> None:
    async with keeping(FakeHypervisor(), next_press=lambda count: 0.001) as k:
        k.hypervisor.faults.deaf = True
        await k.keeper.request_state(Cause.ASK_RUN)
        await k.keeper.request_state(Cause.ASK_STOP)
        await eventually(lambda: k.hypervisor.runs[k.machine.uuid].presses >= 4)
        await k.tell(Fact.ENDED, FactCause.GUEST_SHUTDOWN)
        assert k.keeper.state is State.STOPPED
        assert k.keeper.progress.stopping_since is None


async def test_stopping_refuses_to_run_and_gives_way_to_force(k: Keeping) -> None:
    k.hypervisor.faults.deaf = True
    await k.keeper.request_state(Cause.ASK_RUN)
    await k.keeper.request_state(Cause.ASK_STOP)
    with pytest.raises(Refused) as refused:
        await k.keeper.request_state(Cause.ASK_RUN)
    assert refused.value.problem is Problem.NOT_FROM_THIS_STATE
    assert await k.keeper.request_state(Cause.ASK_KILL) is State.STOPPED


async def test_a_panic_while_stopping_is_paused(k: Keeping) -> None:
    k.hypervisor.faults.deaf = True
    await k.keeper.request_state(Cause.ASK_RUN)
    await k.keeper.request_state(Cause.ASK_STOP)
    await k.tell(Fact.PAUSED, FactCause.GUEST_PANICKED)
    assert k.keeper.state is State.PAUSED
    assert k.keeper.progress.stopping_since is None


async def test_a_request_that_finds_the_vm_ended_names_it_and_says_where_the_reason_is(k: Keeping) -> None:
    await k.keeper.request_state(Cause.ASK_RUN)
    k.hypervisor.runs.pop(k.machine.uuid)
    with pytest.raises(Refused) as refused:
        await k.keeper.request_state(Cause.ASK_PAUSE)
    assert refused.value.message == "VM 'vm' stopped while this request was waiting; `velocity vm show id:1` says why"


async def test_an_end_that_comes_while_something_is_noted_holds(k: Keeping) -> None:
    await k.keeper.request_state(Cause.ASK_RUN)
    await k.settle()
    k.store.disk.clear()
    noting = asyncio.create_task(k.keeper.revise(frozen_until=7))
    await asyncio.sleep(0)
    k.hypervisor.play(k.machine.uuid, Fact.ENDED, FactCause.GUEST_SHUTDOWN)
    await eventually(lambda: k.keeper.state is State.STOPPED)
    k.store.disk.set()
    await noting
    await k.settle()
    assert (k.keeper.progress.run, k.store.progress.run) == (None, None)
