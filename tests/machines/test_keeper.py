"""The keeper of one VM, on the fake hypervisor and a store in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from velocity.access.rules import Discarded
from velocity.contract.machines import State
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.fake import FakeHypervisor
from velocity.hypervisor.port import (
    Changed,
    Fact,
    HostId,
    HypervisorError,
    Incarnation,
    MachineSpec,
    Stop,
    Unknown,
    Why,
)
from velocity.machines import rules
from velocity.machines.keeper import House, Keeper
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
        self.progress = Progress(epoch=self.progress.epoch + 1, wanted=wanted)
        return self.progress.epoch

    async def keep_progress(self, vmid: int, progress: Progress) -> None:
        await self.disk.wait()
        if self.broken:
            raise Refused(Problem.UNAVAILABLE, "the database does not answer")
        self.kept.append(progress.wanted)
        if progress.epoch == self.progress.epoch:
            self.progress = progress


async def nothing() -> None:
    """An errand that waits until what was in the inbox is done."""


class Keeping:
    def __init__(self, hypervisor: FakeHypervisor, next_press: Callable[[int], float] = rules.next_press) -> None:
        self.hypervisor = hypervisor
        self.store = MemoryStore()
        spec = Spec(
            cpus=1, memory_mib=64, displays=[], media=[], nics=[], rosetta=False, autostart=False,
            machine_type="fake-1.0", firmware="0",
        )  # fmt: skip
        self.machine = Machine(1, uuid4(), 0, "vm", spec)
        self.ended: list[Machine] = []
        house = House(
            HostId(1),
            hypervisor,
            self.store,
            asyncio.Semaphore(4),
            lambda: 1000.0,
            self.prepare,
            self.ended.append,
            next_press,
        )
        self.house = house
        self.keeper = Keeper(house, self.machine, Progress())

    async def prepare(self, machine: Machine) -> MachineSpec:
        return MachineSpec(machine.name, 1, 64, "fake-1.0", "0")

    async def tell(self, fact: Fact, why: Why, epoch: int | None = None) -> None:
        who = self.keeper.who if epoch is None else replace(self.keeper.who, epoch=epoch)
        self.keeper.hear(Changed(who, fact, why))
        await self.keeper.alone(nothing)


@pytest.fixture
def k(anyio_backend: str) -> Keeping:
    return Keeping(FakeHypervisor())


async def test_each_start_has_a_new_epoch(k: Keeping) -> None:
    for epoch in (1, 2, 3):
        await k.keeper.ask(Cause.ASK_RUN)
        assert k.keeper.who.epoch == epoch == k.hypervisor.started[-1].epoch
        await k.keeper.ask(Cause.ASK_KILL)
    assert k.keeper.state is State.STOPPED


async def test_news_of_an_older_run_is_dropped(k: Keeping) -> None:
    await k.keeper.ask(Cause.ASK_RUN)
    await k.keeper.ask(Cause.ASK_KILL)
    await k.keeper.ask(Cause.ASK_RUN)
    await k.tell(Fact.ENDED, Why.KILLED, epoch=1)
    assert k.keeper.state is State.RUNNING


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
    assert k.keeper.progress.reason is not None
    assert k.keeper.progress.reason.cause == why.value
    assert k.store.progress == k.keeper.progress, "and it is kept"


async def test_what_the_process_tells_does_not_wait_for_the_disk(k: Keeping) -> None:
    """A pause, a resume and the end of a forced stop are answered before they are written down, and written."""
    await k.keeper.ask(Cause.ASK_RUN)
    disk = k.store.disk = asyncio.Event()
    for cause, state in ((Cause.ASK_PAUSE, State.PAUSED), (Cause.ASK_RUN, State.RUNNING)):
        assert await asyncio.wait_for(k.keeper.ask(cause), 5) is state
    assert k.store.progress.wanted is State.RUNNING
    stopping = asyncio.create_task(k.keeper.ask(Cause.ASK_KILL))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not stopping.done(), "that it shall not run is durable before it is answered"
    disk.set()
    assert await stopping is State.STOPPED
    await asyncio.gather(*k.house.behind)
    assert k.store.kept == [State.PAUSED, State.RUNNING, State.STOPPED, State.STOPPED]
    assert k.store.progress == k.keeper.progress


async def test_a_pause_that_was_not_written_down_is_learnt_from_the_process(k: Keeping) -> None:
    who = Incarnation(k.machine.uuid, HostId(1), 3)
    k.keeper.progress = Progress(epoch=3, wanted=State.RUNNING)
    await k.keeper.found(Changed(who, Fact.PAUSED, Why.ASKED))
    assert (k.keeper.state, k.keeper.progress.wanted) == (State.PAUSED, State.PAUSED)
    await k.keeper.found(Changed(who, Fact.PAUSED, Why.DISK_FULL))
    assert k.keeper.progress.wanted is State.PAUSED


async def test_requests_are_served_in_order(k: Keeping) -> None:
    causes = [Cause.ASK_RUN, Cause.ASK_PAUSE, Cause.ASK_RUN, Cause.ASK_KILL, Cause.ASK_PAUSE]
    states = await asyncio.gather(*(k.keeper.ask(cause) for cause in causes))
    assert states == [State.RUNNING, State.PAUSED, State.RUNNING, State.STOPPED, State.PAUSED]
    assert k.keeper.held


async def test_a_held_vm_just_ends(k: Keeping) -> None:
    await k.keeper.ask(Cause.ASK_PAUSE)
    assert await k.keeper.ask(Cause.ASK_STOP) is State.STOPPED


async def test_a_graceful_stop_of_a_paused_vm_resumes_it_first(k: Keeping) -> None:
    k.hypervisor.deaf = True
    await k.keeper.ask(Cause.ASK_RUN)
    await k.keeper.ask(Cause.ASK_PAUSE)
    assert await k.keeper.ask(Cause.ASK_STOP) is State.STOPPING
    assert k.hypervisor.runs[k.machine.uuid].fact is Fact.RUNNING
    assert k.keeper.progress.stopping_since == 1000
    k.keeper.retire()


async def test_the_button_is_pressed_until_it_is_heard() -> None:
    k = Keeping(FakeHypervisor(), next_press=lambda count: 0.001)
    k.hypervisor.deaf = True
    await k.keeper.ask(Cause.ASK_RUN)
    await k.keeper.ask(Cause.ASK_STOP)
    while k.hypervisor.runs[k.machine.uuid].presses < 4:
        await asyncio.sleep(0.001)
    await k.tell(Fact.ENDED, Why.GUEST_SHUTDOWN)
    assert k.keeper.state is State.STOPPED
    assert k.keeper.progress.stopping_since is None


async def test_stopping_refuses_to_run_and_gives_way_to_force(k: Keeping) -> None:
    k.hypervisor.deaf = True
    await k.keeper.ask(Cause.ASK_RUN)
    await k.keeper.ask(Cause.ASK_STOP)
    with pytest.raises(Refused) as refused:
        await k.keeper.ask(Cause.ASK_RUN)
    assert refused.value.problem is Problem.NOT_FROM_THIS_STATE
    assert await k.keeper.ask(Cause.ASK_KILL) is State.STOPPED


async def test_a_panic_while_stopping_is_paused(k: Keeping) -> None:
    k.hypervisor.deaf = True
    await k.keeper.ask(Cause.ASK_RUN)
    await k.keeper.ask(Cause.ASK_STOP)
    await k.tell(Fact.PAUSED, Why.GUEST_PANICKED)
    assert k.keeper.state is State.PAUSED
    assert k.keeper.progress.stopping_since is None


async def test_a_failed_start_is_stopped_with_the_words(k: Keeping) -> None:
    k.hypervisor.refuse = "no luck"
    with pytest.raises(Refused) as refused:
        await k.keeper.ask(Cause.ASK_RUN)
    assert (refused.value.problem, refused.value.message) == (Problem.HYPERVISOR, "no luck")
    assert k.keeper.state is State.STOPPED
    assert k.store.progress.reason is not None
    assert k.store.progress.reason.cause == "start-failed"


class Mute(FakeHypervisor):
    """Starts, but its answer gets lost."""

    async def start(self, who: Incarnation, spec: MachineSpec, *, deadline: float) -> None:
        await super().start(who, spec, deadline=deadline)
        raise Unknown("no answer")


async def test_unknown_is_answered_by_facts_never_by_a_second_start() -> None:
    k = Keeping(Mute())
    with pytest.raises(Refused):
        await k.keeper.ask(Cause.ASK_RUN)
    assert k.keeper.state is State.RUNNING
    assert len(k.hypervisor.started) == 1


class Stubborn(FakeHypervisor):
    async def stop(self, who: Incarnation, how: Stop, *, deadline: float) -> None:
        raise HypervisorError("not now")


async def test_a_stop_that_fails_can_be_asked_again() -> None:
    k = Keeping(Stubborn())
    await k.keeper.ask(Cause.ASK_RUN)
    for cause in (Cause.ASK_STOP, Cause.ASK_KILL):
        with pytest.raises(Refused):
            await k.keeper.ask(cause)
        assert k.keeper.state is State.STOPPING
    k.keeper.retire()


async def test_found_facts_win_and_wishes_go_on(k: Keeping) -> None:
    who = Incarnation(k.machine.uuid, HostId(1), 3)
    k.keeper.progress = Progress(epoch=3, wanted=State.RUNNING)
    k.store.progress = k.keeper.progress
    await k.hypervisor.start(who, MachineSpec("vm", 1, 64, "fake-1.0", "0", held=True), deadline=1)
    await k.keeper.found(Changed(who, Fact.HELD, Why.ASKED))
    await k.keeper.alone(nothing)
    assert k.keeper.state is State.RUNNING, "the start that was asked for is brought to its end"


class Breaks(FakeHypervisor):
    """Fails as nobody foresaw, in one call, before or after it was done."""

    def __init__(self, call: str, *, done: bool) -> None:
        super().__init__()
        self.call: str | None = call
        self.done = done

    async def _break(self, call: str, deed: Callable[[], Awaitable[None]]) -> None:
        broken = self.call == call
        if self.done or not broken:
            await deed()
        if broken:
            self.call = None
            raise OSError("nobody foresaw this")

    async def start(self, who: Incarnation, spec: MachineSpec, *, deadline: float) -> None:
        await self._break("start", lambda: super(Breaks, self).start(who, spec, deadline=deadline))

    async def pause(self, who: Incarnation, *, deadline: float) -> None:
        await self._break("pause", lambda: super(Breaks, self).pause(who, deadline=deadline))

    async def resume(self, who: Incarnation, *, deadline: float) -> None:
        await self._break("resume", lambda: super(Breaks, self).resume(who, deadline=deadline))

    async def stop(self, who: Incarnation, how: Stop, *, deadline: float) -> None:
        await self._break("stop", lambda: super(Breaks, self).stop(who, how, deadline=deadline))


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
    k = Keeping(Breaks(call, done=done))
    for cause in before:
        await k.keeper.ask(cause)
    with pytest.raises(OSError, match="nobody foresaw"):
        await k.keeper.ask(ask)
    assert k.keeper.state is (reached if done else kept), "what the hypervisor says, and force ends it"
    assert await k.keeper.ask(Cause.ASK_KILL) is State.STOPPED
    assert await k.keeper.ask(Cause.ASK_RUN) is State.RUNNING


@pytest.mark.parametrize("ask", [Cause.ASK_RUN, Cause.ASK_KILL])
async def test_a_store_that_fails_in_the_middle_leaves_no_state_half_way(k: Keeping, ask: Cause) -> None:
    if ask is Cause.ASK_RUN:
        k.hypervisor.refuse = "not today"
    else:
        await k.keeper.ask(Cause.ASK_RUN)
    k.store.broken = True
    with pytest.raises((Refused, HypervisorError)):
        await k.keeper.ask(ask)
    assert k.keeper.state is State.STOPPED
    k.store.broken = False
    assert await k.keeper.ask(Cause.ASK_RUN) is State.RUNNING
