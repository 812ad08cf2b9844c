"""The keeper of one VM, on the fake hypervisor and a store in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID, uuid4

import msgspec
import pytest

from tests.patience import PATIENCE
from velocity.access.rules import Discarded
from velocity.contract.machines import State
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.fake import Answer, FakeHypervisor, FakeMachines, FakeState, Faults
from velocity.hypervisor.port import (
    Changed,
    Fact,
    HostId,
    HypervisorError,
    Incarnation,
    MachineSpec,
    Stop,
    Why,
)
from velocity.machines import rules
from velocity.machines.keeper import Keeper
from velocity.machines.life import House
from velocity.machines.observer import Observer
from velocity.machines.rules import Machine, Progress, Spec, Unreadable
from velocity.machines.states import Cause

pytestmark = pytest.mark.anyio


class MemoryStore:
    """Keeps `velocity.machines.port.MachineStore` for one machine."""

    def __init__(self) -> None:
        self.progress = Progress()
        self.kept: list[State] = []
        self.disk = asyncio.Event()
        self.disk.set()
        self.broken = False

    def load(self, host: HostId) -> tuple[Sequence[tuple[Machine, Progress]], Sequence[Unreadable]]:
        return [], []

    def discarded(self) -> set[str]:
        return set()

    async def add(self, uuid: UUID, host: HostId, gid: int, name: str, spec: Spec) -> int:
        return 1

    async def remove(self, vmid: int, discarded: Discarded | None = None) -> None:
        return None

    async def alter(self, vmid: int, name: str, spec: Spec) -> None:
        return None

    async def begin_run(self, vmid: int, wanted: State, spec: Spec) -> int:
        if self.broken:
            raise Refused(Problem.UNAVAILABLE, "the database does not answer")
        self.progress = Progress(epoch=self.progress.epoch + 1, wanted=wanted, run=spec)
        return self.progress.epoch

    async def keep_progress(self, vmid: int, progress: Progress) -> None:
        await self.disk.wait()
        if self.broken:
            raise Refused(Problem.UNAVAILABLE, "the database does not answer")
        self.kept.append(progress.wanted)
        if progress.epoch >= self.progress.epoch:
            self.progress = progress


SPEC = Spec(
    cpus=1, memory_mib=64, displays=[], media=[], nics=[], rosetta=False, autostart=False,
    machine_type="fake-1.0", firmware="0",
)  # fmt: skip
HOST = HostId(1)


class Keeping:
    """One keeper with its host's observer, as a server has them."""

    def __init__(self, hypervisor: FakeHypervisor, next_press: Callable[[int], float] = rules.next_press) -> None:
        self.hypervisor = hypervisor
        self.store = MemoryStore()
        self.machine = Machine(1, uuid4(), 0, "vm", SPEC)
        self.ended: list[Machine] = []
        self.observer = Observer(HOST, hypervisor.machines, lambda uuid: self.keeper, lambda: [self.keeper])
        self.house = House(
            HOST,
            hypervisor.machines,
            self.observer,
            self.store,
            asyncio.Semaphore(4),
            lambda: 1000.0,
            self.prepare,
            self.ended.append,
            next_press,
        )
        self.keeper = Keeper(self.house, self.machine, Progress())

    async def prepare(self, machine: Machine) -> MachineSpec:
        return MachineSpec(machine.name, 1, 64, "fake-1.0", "0")

    async def tell(self, fact: Fact, why: Why, epoch: int | None = None) -> None:
        """The guest does something by itself."""
        if epoch is None:
            self.hypervisor.play(self.machine.uuid, fact, why)
        else:
            who = msgspec.structs.replace(self.keeper.who, epoch=epoch)
            self.keeper.hear(Changed(who, fact, why, number=1 << 30))
        await self.settle()

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        await self.keeper.settle()

    async def restart(self) -> None:
        """The server is killed, and another one comes: it knows what was written down, and asks the host."""
        await self.observer.close()
        self.keeper.retire()
        await self.hypervisor.machines.close()
        self.keeper = Keeper(self.house, self.machine, self.store.progress)
        await self.observer.open()
        await self.settle()

    def reason(self) -> str | None:
        return None if self.keeper.progress.reason is None else self.keeper.progress.reason.cause


@asynccontextmanager
async def keeping(
    hypervisor: FakeHypervisor, next_press: Callable[[int], float] = rules.next_press
) -> AsyncIterator[Keeping]:
    k = Keeping(hypervisor, next_press)
    await k.observer.open()
    yield k
    await k.observer.close()
    await k.keeper.close(5)


@pytest.fixture
async def k(anyio_backend: str) -> AsyncIterator[Keeping]:
    async with keeping(FakeHypervisor()) as k:
        yield k


async def test_each_start_has_a_new_epoch(k: Keeping) -> None:
    for epoch in (1, 2, 3):
        await k.keeper.ask(Cause.ASK_RUN)
        assert k.keeper.who.epoch == epoch == k.hypervisor.machines.started[-1].epoch
        await k.keeper.ask(Cause.ASK_KILL)
    assert k.keeper.state is State.STOPPED


async def test_facts_of_an_older_run_are_dropped(k: Keeping) -> None:
    await k.keeper.ask(Cause.ASK_RUN)
    await k.keeper.ask(Cause.ASK_KILL)
    await k.keeper.ask(Cause.ASK_RUN)
    await k.tell(Fact.ENDED, Why.KILLED, epoch=1)
    assert k.keeper.state is State.RUNNING


@pytest.mark.holds("STATE-8")
async def test_of_two_facts_the_one_with_the_higher_number_holds(k: Keeping) -> None:
    await k.keeper.ask(Cause.ASK_RUN)
    who = k.keeper.who
    k.keeper.hear(Changed(who, Fact.PAUSED, Why.ASKED, number=1000))
    k.keeper.hear(Changed(who, Fact.RUNNING, Why.ASKED, number=999))
    assert k.keeper.state is State.PAUSED


@pytest.mark.parametrize(
    ("fact", "why", "state"),
    [
        (Fact.PAUSED, Why.GUEST_PANICKED, State.PAUSED),
        (Fact.PAUSED, Why.DISK_FULL, State.PAUSED),
        (Fact.ENDED, Why.GUEST_SHUTDOWN, State.STOPPED),
        (Fact.ENDED, Why.KILLED, State.STOPPED),
        (Fact.RUNNING, Why.GUEST_RESET, State.RUNNING),
    ],
)
async def test_what_a_guest_does_by_itself(k: Keeping, fact: Fact, why: Why, state: State) -> None:
    await k.keeper.ask(Cause.ASK_RUN)
    await k.tell(fact, why)
    assert k.keeper.state is state
    assert k.reason() == why.value
    assert k.store.progress == k.keeper.progress, "and it is kept"


@pytest.mark.holds("STATE-9")
@pytest.mark.parametrize("why", [Why.GUEST_PANICKED, Why.DISK_FULL, Why.UNKNOWN])
async def test_a_reason_goes_when_a_clean_fact_follows(k: Keeping, why: Why) -> None:
    await k.keeper.ask(Cause.ASK_RUN)
    await k.tell(Fact.PAUSED, why)
    assert k.reason() == why.value
    await k.tell(Fact.RUNNING, Why.ASKED)
    assert (k.keeper.state, k.reason()) == (State.RUNNING, None)


@pytest.mark.parametrize("fact", [Fact.RUNNING, Fact.PAUSED])
async def test_what_lives_is_never_said_to_have_ended(k: Keeping, fact: Fact) -> None:
    await k.keeper.ask(Cause.ASK_RUN)
    await k.tell(fact, Why.UNKNOWN)
    reason = k.keeper.progress.reason
    assert reason is None or "ended" not in reason.message
    assert (reason is None) == (fact is Fact.RUNNING)


async def test_what_the_process_tells_does_not_wait_for_the_disk(k: Keeping) -> None:
    """A pause and a resume are answered before they are written down, and written."""
    await k.keeper.ask(Cause.ASK_RUN)
    await k.settle()
    disk = k.store.disk = asyncio.Event()
    for cause, state in ((Cause.ASK_PAUSE, State.PAUSED), (Cause.ASK_RUN, State.RUNNING)):
        assert await asyncio.wait_for(k.keeper.ask(cause), 5) is state
    disk.set()
    await k.settle()
    assert k.store.progress == k.keeper.progress


async def test_what_is_asked_is_written_before_it_is_done(k: Keeping) -> None:
    """A stop: with force, or by the power button, or of one that is paused and resumed for it."""
    for cause, forced in ((Cause.ASK_KILL, True), (Cause.ASK_STOP, False)):
        k.hypervisor.faults.deaf = True
        await k.keeper.ask(Cause.ASK_RUN)
        await k.keeper.ask(Cause.ASK_PAUSE)
        await k.settle()
        disk = k.store.disk = asyncio.Event()
        stopping = asyncio.create_task(k.keeper.ask(cause))
        for _ in range(20):
            await asyncio.sleep(0)
        run = k.hypervisor.runs[k.machine.uuid]
        assert (run.fact, run.presses) == (Fact.PAUSED, 0), "not before it is written"
        disk.set()
        await stopping
        await k.settle()
        if not forced:
            assert (k.store.progress.wanted, k.store.progress.forced) == (State.STOPPED, False)
        await k.keeper.ask(Cause.ASK_KILL)


@pytest.mark.holds("STATE-11")
async def test_an_emergency_stop_needs_no_database(k: Keeping) -> None:
    await k.keeper.ask(Cause.ASK_RUN)
    await k.settle()
    k.store.broken = True
    assert await k.keeper.ask(Cause.ASK_KILL) is State.STOPPED
    assert k.machine.uuid not in k.hypervisor.runs
    assert k.store.progress.wanted is State.RUNNING, "not written yet"
    k.store.broken = False
    await wait_until(lambda: k.store.progress.wanted is State.STOPPED)
    assert k.hypervisor.state.ends == {}, "the end is acknowledged when it is written down, not before"


@pytest.mark.holds("STATE-11")
async def test_a_graceful_stop_under_way_takes_nothing_from_a_forced_one(k: Keeping) -> None:
    """It was being written down when the forced stop came, and its note is done last."""
    await k.keeper.ask(Cause.ASK_RUN)
    await k.settle()
    disk = k.store.disk = asyncio.Event()
    k.hypervisor.faults.answers.append(Answer.UNDER_WAY)
    graceful = asyncio.create_task(k.keeper.ask(Cause.ASK_STOP))
    await wait_until(lambda: k.keeper.busy)
    forced = asyncio.create_task(k.keeper.ask(Cause.ASK_KILL))
    await wait_until(lambda: k.keeper.progress.forced)
    disk.set()
    await asyncio.wait({graceful, forced}, timeout=PATIENCE)
    assert isinstance(forced.exception(), Refused), "nobody knows yet"
    await wait_until(lambda: not k.keeper.doubtful)
    run = k.hypervisor.runs[k.machine.uuid]
    assert (k.keeper.state, k.keeper.progress.forced, run.presses) == (State.STOPPING, True, 0)
    k.hypervisor.faults.arrive(k.machine.uuid)
    await wait_until(lambda: k.keeper.state is State.STOPPED)


@pytest.mark.holds("STATE-13")
async def test_an_end_is_told_again_until_it_is_written_down(k: Keeping) -> None:
    await k.keeper.ask(Cause.ASK_RUN)
    await k.settle()
    k.store.broken = True
    await k.tell(Fact.ENDED, Why.GUEST_PANICKED)
    assert (k.keeper.state, k.reason()) == (State.STOPPED, "guest-panicked")
    k.store.broken = False
    await k.restart()
    assert (k.keeper.state, k.reason()) == (State.STOPPED, "guest-panicked"), "its reason is not lost with the server"
    assert k.hypervisor.state.ends == {}


async def test_a_graceful_stop_that_cannot_be_written_changes_nothing(k: Keeping) -> None:
    await k.keeper.ask(Cause.ASK_RUN)
    await k.settle()
    k.store.broken = True
    with pytest.raises(Refused) as refused:
        await k.keeper.ask(Cause.ASK_STOP)
    assert refused.value.problem is Problem.UNAVAILABLE
    assert (k.keeper.state, k.hypervisor.runs[k.machine.uuid].presses) == (State.RUNNING, 0)
    k.store.broken = False


async def test_what_was_learnt_from_the_process_needs_no_note(k: Keeping) -> None:
    await k.keeper.ask(Cause.ASK_RUN)
    await k.settle()
    k.hypervisor.play(k.machine.uuid, Fact.PAUSED, Why.ASKED, seen=False)
    await k.restart()
    assert (k.keeper.state, k.keeper.progress.wanted) == (State.PAUSED, State.PAUSED)
    k.hypervisor.play(k.machine.uuid, Fact.PAUSED, Why.DISK_FULL, seen=False)
    await k.restart()
    assert k.keeper.progress.wanted is State.PAUSED


@pytest.mark.holds("STATE-3")
async def test_requests_are_served_in_order(k: Keeping) -> None:
    causes = [Cause.ASK_RUN, Cause.ASK_PAUSE, Cause.ASK_RUN, Cause.ASK_PAUSE]
    states = await asyncio.gather(*(k.keeper.ask(cause) for cause in causes))
    assert states == [State.RUNNING, State.PAUSED, State.RUNNING, State.PAUSED]


async def test_a_forced_stop_overtakes_a_start_and_what_waits_behind_it(k: Keeping) -> None:
    k.hypervisor.faults.hold = asyncio.Event()
    asked = [asyncio.create_task(k.keeper.ask(cause)) for cause in (Cause.ASK_RUN, Cause.ASK_PAUSE)]
    await wait_until(lambda: k.keeper.state is State.STARTING)
    assert await asyncio.wait_for(k.keeper.ask(Cause.ASK_KILL), 5) is State.STOPPED
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(one, Refused) and one.problem is Problem.NOT_FROM_THIS_STATE for one in outcomes)
    assert (k.keeper.state, k.hypervisor.runs, k.reason()) == (State.STOPPED, {}, None)
    k.hypervisor.faults.hold = None
    assert await k.keeper.ask(Cause.ASK_RUN) is State.RUNNING, "and the next start is free"


@pytest.mark.holds("STATE-10")
@pytest.mark.parametrize("moment", ["prepare", "store", "gate"])
async def test_a_forced_stop_overtakes_a_start_at_each_of_its_steps(k: Keeping, moment: str) -> None:
    held = asyncio.Event()
    prepare, begin = k.prepare, k.store.begin_run

    async def slow_prepare(machine: Machine) -> MachineSpec:
        await held.wait()
        return await prepare(machine)

    async def slow_begin(vmid: int, wanted: State, spec: Spec) -> int:
        await held.wait()
        return await begin(vmid, wanted, spec)

    if moment == "prepare":
        object.__setattr__(k.house, "prepare", slow_prepare)
    elif moment == "store":
        k.store.begin_run = slow_begin  # type: ignore[method-assign]
    else:
        for _ in range(4):
            await k.house.gate.acquire()
    start = asyncio.create_task(k.keeper.ask(Cause.ASK_RUN))
    for _ in range(20):
        await asyncio.sleep(0)
    assert await asyncio.wait_for(k.keeper.ask(Cause.ASK_KILL), 5) is State.STOPPED
    held.set()
    for _ in range(4 if moment == "gate" else 0):
        k.house.gate.release()
    with pytest.raises(Refused):
        await asyncio.wait_for(start, 5)
    await k.settle()
    assert (k.keeper.state, k.hypervisor.machines.started, k.store.progress.run) == (State.STOPPED, [], None)


async def test_a_held_vm_just_ends(k: Keeping) -> None:
    await k.keeper.ask(Cause.ASK_PAUSE)
    assert await k.keeper.ask(Cause.ASK_STOP) is State.STOPPED


async def test_a_graceful_stop_of_a_paused_vm_resumes_it_first(k: Keeping) -> None:
    k.hypervisor.faults.deaf = True
    await k.keeper.ask(Cause.ASK_RUN)
    await k.keeper.ask(Cause.ASK_PAUSE)
    assert await k.keeper.ask(Cause.ASK_STOP) is State.STOPPING
    assert k.hypervisor.runs[k.machine.uuid].fact is Fact.RUNNING
    assert k.keeper.progress.stopping_since == 1000


async def test_the_button_is_pressed_until_it_is_heard() -> None:
    async with keeping(FakeHypervisor(), next_press=lambda count: 0.001) as k:
        k.hypervisor.faults.deaf = True
        await k.keeper.ask(Cause.ASK_RUN)
        await k.keeper.ask(Cause.ASK_STOP)
        await wait_until(lambda: k.hypervisor.runs[k.machine.uuid].presses >= 4)
        await k.tell(Fact.ENDED, Why.GUEST_SHUTDOWN)
        assert k.keeper.state is State.STOPPED
        assert k.keeper.progress.stopping_since is None


async def test_stopping_refuses_to_run_and_gives_way_to_force(k: Keeping) -> None:
    k.hypervisor.faults.deaf = True
    await k.keeper.ask(Cause.ASK_RUN)
    await k.keeper.ask(Cause.ASK_STOP)
    with pytest.raises(Refused) as refused:
        await k.keeper.ask(Cause.ASK_RUN)
    assert refused.value.problem is Problem.NOT_FROM_THIS_STATE
    assert await k.keeper.ask(Cause.ASK_KILL) is State.STOPPED


async def test_a_panic_while_stopping_is_paused(k: Keeping) -> None:
    k.hypervisor.faults.deaf = True
    await k.keeper.ask(Cause.ASK_RUN)
    await k.keeper.ask(Cause.ASK_STOP)
    await k.tell(Fact.PAUSED, Why.GUEST_PANICKED)
    assert k.keeper.state is State.PAUSED
    assert k.keeper.progress.stopping_since is None


async def test_a_failed_start_is_stopped_with_the_words(k: Keeping) -> None:
    k.hypervisor.faults.refuse = "no luck"
    with pytest.raises(Refused) as refused:
        await k.keeper.ask(Cause.ASK_RUN)
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
        await k.keeper.ask(cause)
    k.hypervisor.faults.answers.append(answer)
    with pytest.raises(Refused) as refused:
        await k.keeper.ask(ask)
    assert refused.value.problem is Problem.HYPERVISOR
    assert "nothing was changed" not in refused.value.message
    await wait_until(lambda: k.keeper.state in (lost, done) and not k.keeper.doubtful)
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
    await wait_until(lambda: k.keeper.state is shown)
    assert await k.keeper.ask(Cause.ASK_KILL) is State.STOPPED
    assert await k.keeper.ask(Cause.ASK_RUN) is State.RUNNING


@pytest.mark.holds("STATE-14")
@pytest.mark.parametrize(("before", "ask", "lost", "done"), ASKS[1:3])
async def test_one_that_hangs_is_shown_as_it_was_known_and_every_verb_works_when_it_answers(
    k: Keeping, before: list[Cause], ask: Cause, lost: State, done: State
) -> None:
    for cause in before:
        await k.keeper.ask(cause)
    k.hypervisor.faults.hang(k.machine.uuid)
    with pytest.raises(Refused, match="has not responded in time"):
        await k.keeper.ask(ask)
    assert k.keeper.state not in (State.STOPPED, lost, done)
    assert k.keeper.unreachable_since == 1000
    with pytest.raises(Refused, match="stop it with force"):
        await k.keeper.ask(Cause.ASK_RUN)
    k.hypervisor.faults.wake(k.machine.uuid)
    await wait_until(lambda: k.keeper.state is done)
    assert k.keeper.unreachable_since is None
    for cause, state in ((Cause.ASK_PAUSE, State.PAUSED), (Cause.ASK_RUN, State.RUNNING)):
        assert await k.keeper.ask(cause) is state


async def test_one_that_hangs_while_the_server_starts_is_not_stopped(k: Keeping) -> None:
    await k.keeper.ask(Cause.ASK_RUN)
    await k.settle()
    k.hypervisor.faults.hang(k.machine.uuid)
    await k.restart()
    assert (k.keeper.state, k.keeper.unreachable_since) == (State.RUNNING, 1000)
    k.hypervisor.faults.wake(k.machine.uuid)
    await wait_until(lambda: k.keeper.unreachable_since is None)
    assert await k.keeper.ask(Cause.ASK_PAUSE) is State.PAUSED


async def test_force_ends_one_that_hangs(k: Keeping) -> None:
    await k.keeper.ask(Cause.ASK_RUN)
    k.hypervisor.faults.hang(k.machine.uuid)
    pause = asyncio.create_task(k.keeper.ask(Cause.ASK_PAUSE))
    assert await k.keeper.ask(Cause.ASK_KILL) is State.STOPPED
    with pytest.raises(Refused):
        await pause
    assert k.keeper.state is State.STOPPED


class Stubborn(FakeMachines):
    async def stop(self, who: Incarnation, how: Stop, *, deadline: float) -> int:
        raise HypervisorError("not now")


async def test_a_stop_that_fails_can_be_asked_again() -> None:
    async with keeping(FakeHypervisor(machines=Stubborn)) as k:
        await k.keeper.ask(Cause.ASK_RUN)
        for cause in (Cause.ASK_STOP, Cause.ASK_KILL):
            with pytest.raises(Refused):
                await k.keeper.ask(cause)
            assert k.keeper.state is State.STOPPING


async def test_a_start_that_was_cut_short_is_brought_to_its_end(k: Keeping) -> None:
    who = Incarnation(k.machine.uuid, HOST, 3)
    k.store.progress = Progress(epoch=3, wanted=State.RUNNING, run=SPEC)
    await k.hypervisor.machines.start(who, MachineSpec("vm", 1, 64, "fake-1.0", "0", held=True), deadline=1)
    await k.restart()
    assert k.keeper.state is State.RUNNING


@pytest.mark.holds("STATE-12")
@pytest.mark.parametrize("forced", [False, True])
@pytest.mark.parametrize("paused", [False, True])
async def test_a_stop_that_was_cut_short_goes_on_as_it_was_asked_for(k: Keeping, forced: bool, paused: bool) -> None:
    k.hypervisor.faults.deaf = True
    await k.keeper.ask(Cause.ASK_RUN)
    if paused:
        await k.keeper.ask(Cause.ASK_PAUSE)
    await k.settle()
    progress = k.store.progress
    k.store.progress = Progress(progress.epoch, State.STOPPED, None, 900, progress.run, forced)  # the crash came then
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
        await k.keeper.ask(Cause.ASK_RUN)
        await k.keeper.ask(Cause.ASK_KILL)
    await k.keeper.ask(Cause.ASK_RUN)
    await k.settle()
    k.store.progress = older
    await k.restart()
    assert (k.keeper.state, k.keeper.who.epoch) == (State.RUNNING, 4)
    assert await k.keeper.ask(Cause.ASK_KILL) is State.STOPPED
    await k.settle()
    assert await k.keeper.ask(Cause.ASK_RUN) is State.RUNNING
    assert k.keeper.who.epoch == 5


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
            await k.keeper.ask(cause)
        with pytest.raises(OSError, match="nobody foresaw"):
            await k.keeper.ask(ask)
        assert k.keeper.state is (reached if done else kept), "what the hypervisor says, and force ends it"
        assert await k.keeper.ask(Cause.ASK_KILL) is State.STOPPED
        assert await k.keeper.ask(Cause.ASK_RUN) is State.RUNNING


async def test_a_start_that_fails_while_the_store_takes_no_note_leaves_no_state_half_way(k: Keeping) -> None:
    begin = k.store.begin_run

    async def begin_and_break(vmid: int, wanted: State, spec: Spec) -> int:
        epoch = await begin(vmid, wanted, spec)
        k.store.broken = True
        return epoch

    k.store.begin_run = begin_and_break  # type: ignore[method-assign]
    k.hypervisor.faults.refuse = "not today"
    with pytest.raises(Refused, match="not today"):
        await k.keeper.ask(Cause.ASK_RUN)
    assert k.keeper.state is State.STOPPED
    k.store.broken = False
    await wait_until(lambda: k.store.progress.run is None)
    k.store.begin_run = begin  # type: ignore[method-assign]
    assert await k.keeper.ask(Cause.ASK_RUN) is State.RUNNING


async def wait_until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.005)
