"""The keeper's restarts: written down before they are done, gone on with whatever ends meanwhile, ended by a stop."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.machines.keeping import Keeping
from tests.patience import eventually
from velocity.contract.machines import State
from velocity.contract.problems import Problem, Refused
from velocity.hosts.certainty import Certainty
from velocity.hypervisor.port import Fact, FactCause
from velocity.machines.hosts.autostart import autostart
from velocity.machines.run.states import Cause

pytestmark = pytest.mark.anyio


async def started(k: Keeping, *, deaf: bool = False) -> None:
    k.hypervisor.faults.deaf = deaf
    await k.keeper.request_state(Cause.ASK_RUN)
    await k.settle()
    k.hypervisor.faults.deaf = False


def stands(k: Keeping) -> tuple[State, int, bool, bool]:
    """Its state and run, and whether it restarts: in memory and as it is written down."""
    return k.keeper.state, k.keeper.who.epoch, k.keeper.progress.restarts, k.store.progress.restarts


@pytest.mark.holds("MORE-1")
@pytest.mark.parametrize("before", [(), (Cause.ASK_PAUSE,)])
@pytest.mark.parametrize("force", [False, True])
async def test_a_restart_stops_and_starts_again(k: Keeping, before: tuple[Cause, ...], force: bool) -> None:
    await started(k)
    for cause in before:
        await k.keeper.request_state(cause)
    await k.keeper.restart(force=force)
    await k.settle()
    assert stands(k) == (State.RUNNING, 2, False, False)
    assert (k.keeper.progress.wanted, k.reason(), len(k.hypervisor.machines.started)) == (State.RUNNING, None, 2)


async def test_one_that_is_held_before_its_first_instruction_restarts_and_runs(k: Keeping) -> None:
    await k.keeper.request_state(Cause.ASK_PAUSE)
    k.hypervisor.play(k.machine.uuid, Fact.HELD, FactCause.ASKED)
    await k.settle()
    await k.keeper.restart(force=False)
    await k.settle()
    assert stands(k) == (State.RUNNING, 2, False, False)


@pytest.mark.holds("MORE-2")
async def test_a_restart_is_written_down_before_the_button_is_pressed(k: Keeping) -> None:
    await started(k, deaf=True)
    k.store.disk.clear()
    asked = asyncio.create_task(k.keeper.restart(force=False))
    for _ in range(20):
        await asyncio.sleep(0)
    assert (k.hypervisor.runs[k.machine.uuid].presses, k.keeper.state) == (0, State.RUNNING)
    k.store.disk.set()
    assert await asked is State.STOPPING
    assert k.hypervisor.runs[k.machine.uuid].presses == 1
    assert (stands(k), k.keeper.progress.requested) == ((State.STOPPING, 1, True, True), State.RUNNING)


@pytest.mark.holds("MORE-2")
@pytest.mark.parametrize("force", [False, True])
async def test_a_restart_goes_on_after_a_crash_before_the_stop(k: Keeping, force: bool) -> None:
    await started(k, deaf=True)
    await k.keeper.restart(force=False)
    k.store.progress = replace(k.store.progress, forced=force)
    await k.restart()
    if not force:
        assert stands(k)[:3] == (State.STOPPING, 1, True)
        k.hypervisor.play(k.machine.uuid, Fact.ENDED, FactCause.GUEST_SHUTDOWN)
        await k.settle()
    assert stands(k) == (State.RUNNING, 2, False, False)


@pytest.mark.holds("MORE-2")
@pytest.mark.parametrize("moment", ["while it ended", "after its end", "while it began"])
async def test_a_restart_goes_on_after_a_crash_between_stop_and_start(k: Keeping, moment: str) -> None:
    await started(k, deaf=True)
    await k.keeper.restart(force=False)
    kept = k.store.progress
    await k.observer.close()  # the server is gone: nothing of what follows is heard
    k.hypervisor.play(k.machine.uuid, Fact.ENDED, FactCause.GUEST_SHUTDOWN)
    if moment == "after its end":
        k.hypervisor.state.ends.clear()
        k.store.progress = replace(kept, run=None, stopping_since=None)
    elif moment == "while it began":
        k.hypervisor.state.ends.clear()
        k.store.progress = replace(kept, epoch=2, wanted=State.RUNNING, stopping_since=None)
    await k.restart()
    await autostart([k.keeper], Certainty())
    await k.settle()
    assert stands(k) == (State.RUNNING, 3 if moment == "while it began" else 2, False, False)


@pytest.mark.holds("MORE-3")
@pytest.mark.parametrize("cause", [Cause.ASK_STOP, Cause.ASK_KILL])
async def test_a_stop_ends_a_restart(k: Keeping, cause: Cause) -> None:
    await started(k, deaf=True)
    await k.keeper.restart(force=False)
    await k.keeper.request_state(cause)
    await k.settle()
    presses = 0 if cause is Cause.ASK_KILL else k.hypervisor.runs[k.machine.uuid].presses
    assert presses == (0 if cause is Cause.ASK_KILL else 2), "and the button is pressed again"
    if cause is Cause.ASK_STOP:
        k.hypervisor.play(k.machine.uuid, Fact.ENDED, FactCause.GUEST_SHUTDOWN)
        await k.settle()
    await k.restart()
    await autostart([k.keeper], Certainty())
    assert stands(k) == (State.STOPPED, 1, False, False)


@pytest.mark.holds("MORE-3")
@pytest.mark.parametrize("cause", [Cause.ASK_STOP, Cause.ASK_KILL])
async def test_a_stop_ends_a_restart_between_stop_and_start(k: Keeping, cause: Cause) -> None:
    await started(k)
    k.store.progress = replace(k.store.progress, run=None, restarts=True, wanted=State.STOPPED)
    k.hypervisor.state.runs.clear()
    await k.restart()
    assert stands(k)[:3] == (State.STOPPED, 1, True)
    await k.keeper.request_state(cause)
    await autostart([k.keeper], Certainty())
    await k.settle()
    assert stands(k) == (State.STOPPED, 1, False, False)


@pytest.mark.holds("MORE-1")
async def test_a_restart_that_overtakes_the_start_of_another_starts_it_again(k: Keeping) -> None:
    await started(k)
    k.hypervisor.faults.hold = asyncio.Event()
    await k.keeper.restart(force=True)
    await eventually(lambda: k.keeper.state is State.STARTING)
    await k.keeper.restart(force=True)
    await eventually(lambda: k.keeper.who.epoch == 3)
    k.hypervisor.faults.hold.set()
    await eventually(lambda: k.keeper.state is State.RUNNING)
    await k.settle()
    assert stands(k) == (State.RUNNING, 3, False, False)


async def test_a_restart_of_what_is_being_stopped_starts_it_again(k: Keeping) -> None:
    await started(k, deaf=True)
    await k.keeper.request_state(Cause.ASK_STOP)
    assert await k.keeper.restart(force=False) is State.STOPPING
    assert k.hypervisor.runs[k.machine.uuid].presses == 2
    await k.keeper.restart(force=True)
    await k.settle()
    assert stands(k) == (State.RUNNING, 2, False, False)


@pytest.mark.holds("MORE-22")
async def test_a_restart_by_force_that_cannot_be_written_down_is_refused_and_the_guest_runs_on(k: Keeping) -> None:
    """It would be ended, and not started again."""
    await started(k)
    k.store.broken = True
    with pytest.raises(Refused) as refused:
        await k.keeper.restart(force=True)
    assert refused.value.problem is Problem.UNAVAILABLE
    k.store.broken = False
    await k.settle()
    assert stands(k) == (State.RUNNING, 1, False, False)
    assert k.hypervisor.runs[k.machine.uuid].fact is Fact.RUNNING
    assert k.keeper.progress.requested is State.RUNNING


@pytest.mark.holds("MORE-3")
@pytest.mark.parametrize("cause", [Cause.ASK_STOP, Cause.ASK_KILL])
async def test_a_stop_that_comes_while_a_restart_by_force_is_written_down_ends_it(k: Keeping, cause: Cause) -> None:
    await started(k)
    k.store.disk.clear()
    restart = asyncio.create_task(k.keeper.restart(force=True))
    await asyncio.sleep(0)
    stop = asyncio.create_task(k.keeper.request_state(cause))
    await asyncio.sleep(0)
    k.store.disk.set()
    with pytest.raises(Refused, match="repeat the request"):
        await restart
    await stop
    await k.settle()
    assert stands(k) == (State.STOPPED, 1, False, False)


@pytest.mark.parametrize("force", [False, True])
async def test_a_guest_that_ends_by_itself_while_its_restart_is_written_down_starts_again(
    k: Keeping, force: bool
) -> None:
    await started(k)
    k.store.disk.clear()
    asked = asyncio.create_task(k.keeper.restart(force=force))
    for _ in range(20):
        await asyncio.sleep(0)
    k.hypervisor.play(k.machine.uuid, Fact.ENDED, FactCause.GUEST_SHUTDOWN)
    await eventually(lambda: k.keeper.state is State.STOPPED)
    k.store.disk.set()
    await asked
    await k.settle()
    assert stands(k) == (State.RUNNING, 2, False, False)


@pytest.mark.holds("MORE-4")
async def test_a_start_that_is_refused_ends_a_restart_with_its_reason(k: Keeping) -> None:
    await started(k)
    k.hypervisor.faults.refuse = "no bridge"
    await k.keeper.restart(force=False)
    await k.settle()
    assert (stands(k), k.reason()) == ((State.STOPPED, 2, False, False), "restart-failed")
    reason = k.keeper.progress.reason
    assert reason is not None
    assert reason.message == "not started again: no bridge"


async def test_a_guest_that_breaks_while_it_shuts_down_is_not_started_again(k: Keeping) -> None:
    await started(k, deaf=True)
    await k.keeper.restart(force=False)
    await k.tell(Fact.PAUSED, FactCause.GUEST_PANICKED)
    assert (stands(k), k.reason()) == ((State.PAUSED, 1, False, False), "guest-panicked")


@pytest.mark.parametrize("force", [False, True])
async def test_what_is_stopped_is_not_restarted(k: Keeping, force: bool) -> None:
    with pytest.raises(Refused, match="STOPPED: start it") as refused:
        await k.keeper.restart(force=force)
    assert refused.value.problem is Problem.NOT_FROM_THIS_STATE
