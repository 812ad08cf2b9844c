"""The keeper over the end of one server and the start of the next."""

from __future__ import annotations

import pytest

from tests.machines.keeping import HOST, SPEC, Keeping
from tests.patience import eventually
from velocity.contract.machines import State
from velocity.hypervisor.port import (
    Fact,
    FactCause,
    Incarnation,
    MachineSpec,
)
from velocity.machines.rules import RunRecord
from velocity.machines.run.states import Cause

pytestmark = pytest.mark.anyio


@pytest.mark.holds("STATE-13")
async def test_an_end_is_told_again_until_it_is_written_down(k: Keeping) -> None:
    await k.keeper.request_state(Cause.ASK_RUN)
    await k.settle()
    k.store.broken = True
    await k.tell(Fact.ENDED, FactCause.GUEST_PANICKED)
    assert (k.keeper.state, k.reason()) == (State.STOPPED, "guest-panicked")
    k.store.broken = False
    await k.restart()
    assert (k.keeper.state, k.reason()) == (State.STOPPED, "guest-panicked"), "its reason is not lost with the server"
    assert k.hypervisor.state.ends == {}


async def test_one_that_hangs_while_the_server_starts_is_not_stopped(k: Keeping) -> None:
    await k.keeper.request_state(Cause.ASK_RUN)
    await k.settle()
    k.hypervisor.faults.hang(k.machine.uuid)
    await k.restart()
    assert (k.keeper.state, k.keeper.unreachable_since) == (State.RUNNING, 1000)
    k.hypervisor.faults.wake(k.machine.uuid)
    await eventually(lambda: k.keeper.unreachable_since is None)
    assert await k.keeper.request_state(Cause.ASK_PAUSE) is State.PAUSED


async def test_a_start_that_was_cut_short_is_brought_to_its_end(k: Keeping) -> None:
    who = Incarnation(k.machine.uuid, HOST, 3)
    k.store.progress = RunRecord(epoch=3, wanted=State.RUNNING, run=SPEC)
    await k.hypervisor.machines.start(who, MachineSpec("vm", 1, 64, "fake-1.0", "0", held=True), deadline=1)
    await k.restart()
    assert k.keeper.state is State.RUNNING


@pytest.mark.holds("STATE-12")
@pytest.mark.parametrize("forced", [False, True])
@pytest.mark.parametrize("paused", [False, True])
async def test_a_stop_that_was_cut_short_goes_on_as_it_was_asked_for(k: Keeping, forced: bool, paused: bool) -> None:
    k.hypervisor.faults.deaf = True
    await k.keeper.request_state(Cause.ASK_RUN)
    if paused:
        await k.keeper.request_state(Cause.ASK_PAUSE)
    await k.settle()
    progress = k.store.progress
    k.store.progress = RunRecord(progress.epoch, State.STOPPED, None, 900, progress.run, forced)  # the crash came then
    await k.restart()
    if forced:
        assert (k.keeper.state, k.hypervisor.runs) == (State.STOPPED, {})
    else:
        run = k.hypervisor.runs[k.machine.uuid]
        assert (k.keeper.state, run.fact, run.presses) == (State.STOPPING, Fact.RUNNING, 1)
        assert k.keeper.progress.stopping_since == 900


async def test_an_older_database_learns_of_a_later_run(k: Keeping) -> None:
    older = k.store.progress
    for _ in range(3):
        await k.keeper.request_state(Cause.ASK_RUN)
        await k.keeper.request_state(Cause.ASK_KILL)
    await k.keeper.request_state(Cause.ASK_RUN)
    await k.settle()
    k.store.progress = older
    await k.restart()
    assert (k.keeper.state, k.keeper.who.epoch) == (State.RUNNING, 4)
    assert await k.keeper.request_state(Cause.ASK_KILL) is State.STOPPED
    await k.settle()
    assert await k.keeper.request_state(Cause.ASK_RUN) is State.RUNNING
    assert k.keeper.who.epoch == 5
