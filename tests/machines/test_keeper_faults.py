"""The keeper where the hypervisor or the store fails, or does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from tests.machines.keeping import Keeping, keeping
from tests.patience import eventually
from velocity.contract.machines import State
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.fake import Answer, FakeHypervisor, FakeMachines, FakeState, Faults
from velocity.hypervisor.port import (
    Fact,
    FactCause,
    HostId,
    HypervisorError,
    Incarnation,
    MachineSpec,
    Stop,
    Unknown,
)
from velocity.machines.rules import Spec
from velocity.machines.run.states import Cause

pytestmark = pytest.mark.anyio


@pytest.mark.holds("STATE-11")
async def test_an_emergency_stop_needs_no_database(k: Keeping) -> None:
    await k.keeper.request_state(Cause.ASK_RUN)
    await k.settle()
    k.store.broken = True
    assert await k.keeper.request_state(Cause.ASK_KILL) is State.STOPPED
    assert k.machine.uuid not in k.hypervisor.runs
    assert k.store.progress.wanted is State.RUNNING, "not written yet"
    k.store.broken = False
    await eventually(lambda: k.store.progress.wanted is State.STOPPED)
    assert k.hypervisor.state.ends == {}, "the end is acknowledged when it is written down, not before"


async def test_a_graceful_stop_that_cannot_be_written_changes_nothing(k: Keeping) -> None:
    await k.keeper.request_state(Cause.ASK_RUN)
    await k.settle()
    k.store.broken = True
    with pytest.raises(Refused) as refused:
        await k.keeper.request_state(Cause.ASK_STOP)
    assert refused.value.problem is Problem.UNAVAILABLE
    assert (k.keeper.state, k.hypervisor.runs[k.machine.uuid].presses) == (State.RUNNING, 0)
    k.store.broken = False


async def test_a_failed_start_is_stopped_with_the_words(k: Keeping) -> None:
    k.hypervisor.faults.refuse = "no luck"
    with pytest.raises(Refused) as refused:
        await k.keeper.request_state(Cause.ASK_RUN)
    assert (refused.value.problem, refused.value.message) == (Problem.HYPERVISOR, "no luck")
    assert k.keeper.state is State.STOPPED
    await k.settle()
    assert k.store.progress.reason is not None
    assert k.store.progress.reason.cause == "start-failed"


ASKS: list[tuple[list[Cause], Cause, State, State]] = [
    ([], Cause.ASK_RUN, State.STOPPED, State.RUNNING),
    ([Cause.ASK_RUN], Cause.ASK_PAUSE, State.RUNNING, State.PAUSED),
    ([Cause.ASK_RUN, Cause.ASK_PAUSE], Cause.ASK_RUN, State.PAUSED, State.RUNNING),
    ([Cause.ASK_RUN], Cause.ASK_KILL, State.STOPPED, State.STOPPED),
]
"""What comes before, what is asked, and the states that it leads to if it is lost and if it is done."""


@pytest.mark.holds("STATE-6")
@pytest.mark.parametrize("answer", list(Answer))
@pytest.mark.parametrize(("before", "ask", "lost", "done"), ASKS)
async def test_unknown_is_answered_by_facts_never_by_a_second_deed(
    k: Keeping, before: list[Cause], ask: Cause, lost: State, done: State, answer: Answer
) -> None:
    for cause in before:
        await k.keeper.request_state(cause)
    k.hypervisor.faults.answers.append(answer)
    with pytest.raises(Refused) as refused:
        await k.keeper.request_state(ask)
    assert refused.value.problem is Problem.HYPERVISOR
    assert "nothing was changed" not in refused.value.message
    await eventually(lambda: k.keeper.state in (lost, done) and not k.keeper.doubtful)
    assert k.keeper.unreachable_since is None
    k.hypervisor.faults.arrive(k.machine.uuid)
    await k.settle()
    if ask is Cause.ASK_RUN and not before:
        assert len(k.hypervisor.machines.started) == (answer is Answer.LATE), (
            "one that is absent is never started afterwards"
        )
    run = k.hypervisor.runs.get(k.machine.uuid)
    fact = None if run is None else run.fact
    shown = {None: State.STOPPED, Fact.RUNNING: State.RUNNING, Fact.PAUSED: State.PAUSED}[fact]
    await eventually(lambda: k.keeper.state is shown)
    assert await k.keeper.request_state(Cause.ASK_KILL) is State.STOPPED
    assert await k.keeper.request_state(Cause.ASK_RUN) is State.RUNNING


@pytest.mark.holds("STATE-14")
@pytest.mark.parametrize(("before", "ask", "lost", "done"), ASKS[1:3])
async def test_one_that_hangs_is_shown_as_it_was_known_and_every_verb_works_when_it_answers(
    k: Keeping, before: list[Cause], ask: Cause, lost: State, done: State
) -> None:
    for cause in before:
        await k.keeper.request_state(cause)
    k.hypervisor.faults.hang(k.machine.uuid)
    with pytest.raises(Refused, match="has not responded in time"):
        await k.keeper.request_state(ask)
    assert k.keeper.state not in (State.STOPPED, lost, done)
    assert k.keeper.unreachable_since == 1000
    with pytest.raises(Refused, match="stop it with force"):
        await k.keeper.request_state(Cause.ASK_RUN)
    k.hypervisor.faults.wake(k.machine.uuid)
    await eventually(lambda: k.keeper.state is done)
    assert k.keeper.unreachable_since is None
    for cause, state in ((Cause.ASK_PAUSE, State.PAUSED), (Cause.ASK_RUN, State.RUNNING)):
        assert await k.keeper.request_state(cause) is state


async def test_a_wish_that_cannot_be_written_down_is_refused_and_changes_nothing(k: Keeping) -> None:
    await k.keeper.request_state(Cause.ASK_RUN)
    await k.tell(Fact.ENDED, FactCause.KILLED)
    k.store.broken = True
    with pytest.raises(Refused, match="the database does not answer"):
        await k.keeper.request_state(Cause.ASK_STOP)
    assert k.keeper.progress.wanted is State.RUNNING
    k.store.broken = False
    assert await k.keeper.request_state(Cause.ASK_STOP) is State.STOPPED
    assert k.store.progress.wanted is State.STOPPED


async def test_one_that_hangs_is_still_shown_so_when_its_host_is_back(k: Keeping) -> None:
    await k.keeper.request_state(Cause.ASK_RUN)
    k.hypervisor.faults.hang(k.machine.uuid)
    k.observer.doubt("its connection was lost")
    await eventually(lambda: not k.observer.lost)
    assert (k.keeper.state, k.keeper.unreachable_since) == (State.RUNNING, 1000)
    k.hypervisor.faults.wake(k.machine.uuid)
    await eventually(lambda: k.keeper.unreachable_since is None)


async def test_who_forces_it_is_not_told_to_force_it() -> None:
    async with keeping(FakeHypervisor(machines=Silent)) as k:
        await k.keeper.request_state(Cause.ASK_RUN)
        with pytest.raises(Refused, match=r"until it responds$"):
            await k.keeper.request_state(Cause.ASK_KILL)
        assert k.keeper.state is State.STOPPING


class Silent(FakeMachines):
    async def stop(self, who: Incarnation, how: Stop, *, deadline: float) -> int:
        raise Unknown("no answer")


async def test_force_ends_one_that_hangs(k: Keeping) -> None:
    await k.keeper.request_state(Cause.ASK_RUN)
    k.hypervisor.faults.hang(k.machine.uuid)
    pause = asyncio.create_task(k.keeper.request_state(Cause.ASK_PAUSE))
    assert await k.keeper.request_state(Cause.ASK_KILL) is State.STOPPED
    with pytest.raises(Refused):
        await pause
    assert k.keeper.state is State.STOPPED


class Stubborn(FakeMachines):
    async def stop(self, who: Incarnation, how: Stop, *, deadline: float) -> int:
        raise HypervisorError("not now")


async def test_a_stop_that_fails_can_be_asked_again() -> None:
    async with keeping(FakeHypervisor(machines=Stubborn)) as k:
        await k.keeper.request_state(Cause.ASK_RUN)
        for cause in (Cause.ASK_STOP, Cause.ASK_KILL):
            with pytest.raises(Refused):
                await k.keeper.request_state(cause)
            assert k.keeper.state is State.STOPPING


class Breaks(FakeMachines):
    """Fails as nobody foresaw, in one call, before or after it was done."""

    def __init__(self, state: FakeState, faults: Faults, call: str, *, done: bool) -> None:
        super().__init__(state, faults)
        self.call: str | None = call
        self.done = done

    async def _break(self, call: str, deed: Callable[[], Awaitable[int]]) -> int:
        broken = self.call == call
        if broken:
            self.call = None
            if self.done:
                await deed()
            raise OSError("nobody foresaw this")
        return await deed()

    async def start(self, who: Incarnation, spec: MachineSpec, *, deadline: float) -> int:
        return await self._break("start", lambda: super(Breaks, self).start(who, spec, deadline=deadline))

    async def pause(self, who: Incarnation, *, deadline: float) -> int:
        return await self._break("pause", lambda: super(Breaks, self).pause(who, deadline=deadline))

    async def resume(self, who: Incarnation, *, deadline: float) -> int:
        return await self._break("resume", lambda: super(Breaks, self).resume(who, deadline=deadline))

    async def stop(self, who: Incarnation, how: Stop, *, deadline: float) -> int:
        return await self._break("stop", lambda: super(Breaks, self).stop(who, how, deadline=deadline))


@pytest.mark.holds("STATE-5")
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize(
    ("call", "before", "ask", "kept", "reached"),
    [
        ("start", [], Cause.ASK_RUN, State.STOPPED, State.RUNNING),
        ("pause", [Cause.ASK_RUN], Cause.ASK_PAUSE, State.RUNNING, State.PAUSED),
        ("resume", [Cause.ASK_RUN, Cause.ASK_PAUSE], Cause.ASK_RUN, State.PAUSED, State.RUNNING),
        ("stop", [Cause.ASK_RUN], Cause.ASK_KILL, State.STOPPING, State.STOPPED),
    ],
)
async def test_an_error_that_nobody_foresaw_leaves_no_state_half_way(
    call: str, before: list[Cause], ask: Cause, kept: State, reached: State, done: bool
) -> None:
    async with keeping(FakeHypervisor(machines=partial(Breaks, call=call, done=done))) as k:
        for cause in before:
            await k.keeper.request_state(cause)
        with pytest.raises(OSError, match="nobody foresaw"):
            await k.keeper.request_state(ask)
        assert k.keeper.state is (reached if done else kept), "what the hypervisor says, and force ends it"
        assert await k.keeper.request_state(Cause.ASK_KILL) is State.STOPPED
        assert await k.keeper.request_state(Cause.ASK_RUN) is State.RUNNING


async def test_a_start_that_fails_while_the_store_takes_no_note_leaves_no_state_half_way(k: Keeping) -> None:
    begin = k.store.begin_run

    async def begin_and_break(vmid: int, wanted: State, spec: Spec, host: HostId) -> int:
        epoch = await begin(vmid, wanted, spec, host)
        k.store.broken = True
        return epoch

    k.store.begin_run = begin_and_break  # type: ignore[method-assign]
    k.hypervisor.faults.refuse = "not today"
    with pytest.raises(Refused, match="not today"):
        await k.keeper.request_state(Cause.ASK_RUN)
    assert k.keeper.state is State.STOPPED
    k.store.broken = False
    await eventually(lambda: k.store.progress.run is None)
    k.store.begin_run = begin  # type: ignore[method-assign]
    assert await k.keeper.request_state(Cause.ASK_RUN) is State.RUNNING


class Wire(FakeMachines):
    """Starts are sent once they are `let`, and reach their host then."""

    refusal = ""

    def __init__(self, state: FakeState, faults: Faults) -> None:
        super().__init__(state, faults)
        self.let = asyncio.Event()

    async def start(self, who: Incarnation, spec: MachineSpec, *, deadline: float) -> int:
        await self.let.wait()
        if self.refusal:
            raise HypervisorError(self.refusal)
        return await super().start(who, spec, deadline=deadline)


async def test_a_start_that_its_host_has_denied_before_it_came_does_not_run_and_says_so() -> None:
    """What is said to have ended has freed its media."""
    async with keeping(FakeHypervisor(machines=Wire)) as k:
        machines = k.hypervisor.machines
        assert isinstance(machines, Wire)
        machines.let.set()
        await k.keeper.request_state(Cause.ASK_RUN)
        await k.keeper.request_state(Cause.ASK_KILL)
        machines.let.clear()
        starting = asyncio.create_task(k.keeper.request_state(Cause.ASK_RUN))
        await eventually(lambda: k.keeper.state is State.STARTING)
        k.observer.doubt("its connection was lost")
        await eventually(lambda: k.keeper.state is State.STOPPED)
        machines.let.set()
        with pytest.raises(Refused, match="the connection to its host was interrupted before it was started: start it"):
            await starting
        await k.settle()
        assert (k.keeper.state, k.reason(), k.hypervisor.runs) == (State.STOPPED, "start-failed", {})
        assert await k.keeper.request_state(Cause.ASK_RUN) is State.RUNNING


async def test_a_refused_start_is_answered_in_the_hypervisors_words_though_its_end_was_listed_before() -> None:
    async with keeping(FakeHypervisor(machines=Wire)) as k:
        machines = k.hypervisor.machines
        assert isinstance(machines, Wire)
        machines.refusal = "the disk is in use by another process"
        starting = asyncio.create_task(k.keeper.request_state(Cause.ASK_RUN))
        await eventually(lambda: k.keeper.state is State.STARTING)
        k.observer.doubt("its connection was lost")
        await eventually(lambda: k.keeper.state is State.STOPPED)
        machines.let.set()
        with pytest.raises(Refused, match="the disk is in use by another process"):
            await starting
        await k.settle()
        assert (k.keeper.state, k.reason()) == (State.STOPPED, "start-failed")
