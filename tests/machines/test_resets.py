"""The keeper and resets: a run boots again, and is no other."""

from __future__ import annotations

import asyncio

import pytest

from tests.machines.keeping import Keeping
from tests.patience import eventually
from velocity.contract.machines import State
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.fake.faults import Answer
from velocity.hypervisor.port import Fact, FactCause
from velocity.machines.run.states import Cause

pytestmark = pytest.mark.anyio


def resets(k: Keeping) -> int:
    return k.hypervisor.runs[k.machine.uuid].resets


@pytest.mark.holds("STATE-18")
async def test_a_reset_is_of_the_same_run_and_leaves_a_paused_one_paused(k: Keeping) -> None:
    await k.keeper.request_state(Cause.ASK_RUN)
    before = k.keeper.who
    assert await k.keeper.request_state(Cause.ASK_RESET) is State.RUNNING
    assert (resets(k), k.keeper.who, k.hypervisor.machines.started) == (1, before, [before])
    await k.keeper.request_state(Cause.ASK_PAUSE)
    assert await k.keeper.request_state(Cause.ASK_RESET) is State.PAUSED
    await k.settle()
    assert (resets(k), k.keeper.state, k.keeper.observed) == (2, State.PAUSED, Fact.HELD)
    assert await k.keeper.request_state(Cause.ASK_RUN) is State.RUNNING
    assert k.keeper.who == before


@pytest.mark.holds("STATE-19")
@pytest.mark.parametrize("why", [FactCause.GUEST_PANICKED, FactCause.DISK_FULL, FactCause.INTERNAL_ERROR])
@pytest.mark.parametrize("stopping", [False, True])
async def test_one_that_stands_still_by_itself_runs_after_a_reset(k: Keeping, why: FactCause, stopping: bool) -> None:
    k.hypervisor.faults.deaf = True
    await k.keeper.request_state(Cause.ASK_RUN)
    if stopping:
        await k.keeper.request_state(Cause.ASK_STOP)
    await k.tell(Fact.PAUSED, why)
    assert (k.keeper.state, k.reason()) == (State.PAUSED, why.value)
    assert await k.keeper.request_state(Cause.ASK_RESET) is State.RUNNING
    await k.settle()
    assert (k.keeper.state, k.keeper.progress.wanted, k.reason()) == (State.RUNNING, State.RUNNING, None)


@pytest.mark.parametrize(
    ("had", "words"), [([], "is STOPPED: start it"), ([Cause.ASK_RUN, Cause.ASK_STOP], "STOPPING")]
)
async def test_what_does_not_run_or_shuts_down_is_not_reset(k: Keeping, had: list[Cause], words: str) -> None:
    k.hypervisor.faults.deaf = True
    for cause in had:
        await k.keeper.request_state(cause)
    with pytest.raises(Refused, match=words) as refused:
        await k.keeper.request_state(Cause.ASK_RESET)
    assert refused.value.problem is Problem.NOT_FROM_THIS_STATE


async def test_a_reset_without_an_answer_says_so_and_the_state_is_found_out(k: Keeping) -> None:
    await k.keeper.request_state(Cause.ASK_RUN)
    k.hypervisor.faults.answers.append(Answer.LATE)
    with pytest.raises(Refused, match="may still take effect") as refused:
        await k.keeper.request_state(Cause.ASK_RESET)
    assert refused.value.problem is Problem.HYPERVISOR
    await eventually(lambda: k.keeper.unreachable_since is None)
    assert (k.keeper.state, resets(k)) == (State.RUNNING, 1), "it is asked what it does, and not reset twice"


async def test_a_forced_stop_overtakes_a_reset_that_waits(k: Keeping) -> None:
    await k.keeper.request_state(Cause.ASK_RUN)
    k.hypervisor.faults.hang(k.machine.uuid)
    first = asyncio.create_task(k.keeper.request_state(Cause.ASK_PAUSE))
    waiting = asyncio.create_task(k.keeper.request_state(Cause.ASK_RESET))
    await asyncio.sleep(0)
    assert await k.keeper.request_state(Cause.ASK_KILL) is State.STOPPED
    for task in (first, waiting):
        with pytest.raises(Refused):
            await task


async def test_a_crash_between_the_reset_and_its_start_goes_on(k: Keeping) -> None:
    await k.keeper.request_state(Cause.ASK_RUN)
    await k.tell(Fact.PAUSED, FactCause.GUEST_PANICKED)
    await k.hypervisor.machines.reset(k.keeper.who, deadline=1)
    await k.restart()
    assert k.keeper.state is State.RUNNING
