"""The keeper of one VM: requests and the hypervisor's news meet in its inbox and are served one at a time.

The states follow `states.TRANSITIONS` alone. A keeper has no task while its inbox is empty.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, copy_context
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from velocity import plan
from velocity.contract.machines import Reason, State
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.port import (
    Changed,
    Fact,
    HostId,
    HypervisorError,
    Incarnation,
    Machines,
    MachineSpec,
    NotRunning,
    Stop,
    Unknown,
    Why,
)
from velocity.machines import rules
from velocity.machines.letters import Asked, Errand, Letter, PressAgain, answered, nobody
from velocity.machines.port import MachineStore
from velocity.machines.rules import Machine, Progress
from velocity.machines.states import DOES, Cause, after

log = logging.getLogger(__name__)

START_DEADLINE = 60.0
CALL_DEADLINE = 10.0
BROKEN = frozenset({Why.GUEST_PANICKED, Why.DISK_FULL, Why.DISK_ERROR, Why.INTERNAL_ERROR})


STEADY = frozenset({State.STOPPED, State.RUNNING, State.PAUSED})

T = TypeVar("T")


@dataclass(frozen=True)
class House:
    """What every keeper works with.

    `prepare` builds the specification of a start, and refuses one that cannot be; `ended` is told of each run's end,
    `changed` of whatever is shown of a VM.
    """

    host: HostId
    hypervisor: Machines
    store: MachineStore
    gate: asyncio.Semaphore
    clock: Callable[[], float]
    prepare: Callable[[Machine], Awaitable[MachineSpec]]
    ended: Callable[[Machine], None]
    next_press: Callable[[int], float] = rules.next_press
    changed: Callable[[Machine], None] = lambda machine: None
    behind: set[asyncio.Task[None]] = field(default_factory=set)
    """What is still being written down although nobody waits for it."""


class Keeper:
    """One VM's observed state, what was last asked for, and the only hand that moves it."""

    __slots__ = (
        "_house", "_inbox", "_presses", "_pump", "_timer", "held", "machine", "progress", "retired", "starting",
        "state", "unreachable_since",
    )  # fmt: skip

    def __init__(self, house: House, machine: Machine, progress: Progress) -> None:
        self._house = house
        self.machine = machine
        self.progress = progress
        self.state = State.STOPPED
        self.held = False
        self.retired = False
        """It is being removed, or is: nothing that is asked of it is done any more."""
        self.starting = False
        """A start begins, although it is not written down yet: its media count as written to."""
        self.unreachable_since: int | None = None
        self._inbox: deque[Letter] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._presses = 0

    @property
    def who(self) -> Incarnation:
        return Incarnation(self.machine.uuid, self._house.host, self.progress.epoch)

    # The inbox

    async def ask(self, cause: Cause) -> State:
        """Serve a request and return the state that it led to. Raises `Refused`."""
        answer: asyncio.Future[State] = asyncio.get_running_loop().create_future()
        self._post(Asked(cause, answer, copy_context()))
        return await answer

    async def alone(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do something with the VM that no request and no news comes between."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._post(Errand(work, answer, copy_context()))
        return await answer

    def hear(self, news: Changed) -> None:
        """Take news of this VM; news of another run than the present one is dropped when its turn comes."""
        self._post(news)

    def retire(self) -> None:
        """The VM is removed: nothing happens any more."""
        self._silence()

    def _post(self, letter: Letter) -> None:
        self._inbox.append(letter)
        if self._pump is None:
            # A context of no request: each letter is served in that of its sender.
            self._pump = asyncio.get_running_loop().create_task(self._serve(), context=Context())

    async def _serve(self) -> None:
        try:
            while self._inbox:
                await self._serve_one(self._inbox.popleft())
        finally:
            self._pump = None

    async def _serve_one(self, letter: Letter) -> None:
        match letter:
            case Asked(cause, answer, context):
                await answered(self._request(cause), answer, context)
            case Errand(work, answer, context):
                await answered(work(), answer, context)
            case Changed() if letter.who.epoch == self.progress.epoch:
                await self._news(letter)
            case PressAgain(epoch) if epoch == self.progress.epoch and self.state is State.STOPPING:
                await self._quietly(self._press())
            case _:
                pass
        self._changed()

    # Requests

    async def _request(self, cause: Cause) -> State:
        if self.retired:
            raise Refused(Problem.VM_NOT_FOUND, f"there is no VM {self.machine.vmid}", field="vmid")
        following = after(self.state, cause)
        if following is None:
            raise Refused(
                Problem.NOT_FROM_THIS_STATE,
                f"VM {self.machine.vmid} is {self.state.value}: wait until it is STOPPED, or stop it with force",
                field="state",
            )
        if following is self.state and following is not State.STOPPING:
            return self.state
        for do in DOES[following, cause]:
            plan.step(do, "vm", self.machine.name, id=self.machine.vmid, gid=self.machine.gid)
        if following is not State.STARTING:  # a start asks the host first
            plan.ends()
        act = {
            State.STARTING: self._start,
            State.PAUSING: self._pause,
            State.RESUMING: self._resume,
            State.STOPPING: self._stop,
        }[following]
        try:
            await act(cause)
        except NotRunning:
            raise Refused(
                Problem.HYPERVISOR, f"VM {self.machine.vmid} has ended meanwhile: see `reason` in POST /v/vm"
            ) from None
        except Unknown as error:
            await self._ask_for_facts()
            raise Refused(
                Problem.HYPERVISOR, f"the hypervisor did not answer in time ({error}): VM is {self.state.value}"
            ) from None
        except HypervisorError as error:
            if self.state is not State.STOPPING:  # there, the button is pressed again, and force remains
                self._move(Cause.FAILED)
            raise Refused(Problem.HYPERVISOR, str(error)) from None
        except Exception:
            if self.state not in STEADY:  # nobody foresaw it: the facts say which state it led to
                await self._quietly(self._ask_for_facts())
            raise
        return self.state

    async def _start(self, cause: Cause) -> None:
        hold = cause is Cause.ASK_PAUSE
        spec = replace(await self._house.prepare(self.machine), held=hold)
        wanted = State.PAUSED if hold else State.RUNNING
        plan.ends()
        self.starting = True
        try:
            epoch = await self._house.store.begin_run(self.machine.vmid, wanted, self.machine.spec)
        finally:
            self.starting = False
        self.progress = Progress(epoch=epoch, wanted=wanted, run=self.machine.spec)
        self._move(cause)
        try:
            async with self._house.gate:
                await self._house.hypervisor.start(self.who, spec, deadline=START_DEADLINE)
        except Unknown:
            raise
        except HypervisorError as error:
            self._note(Reason(cause="start-failed", message=str(error), since=self._now()))
            self._run_is_over()
            await self._quietly(self._keep())
            raise
        self.held = hold
        self._move(Cause.HALTED if hold else Cause.RUNS)

    async def _pause(self, cause: Cause) -> None:
        self._move(cause)
        self.progress = replace(self.progress, wanted=State.PAUSED)
        await self._house.hypervisor.pause(self.who, deadline=CALL_DEADLINE)
        self._note(None)
        self._move(Cause.HALTED)
        self._keep_behind()

    async def _resume(self, cause: Cause) -> None:
        self._move(cause)
        self.progress = replace(self.progress, wanted=State.RUNNING)
        await self._house.hypervisor.resume(self.who, deadline=CALL_DEADLINE)
        self.held = False
        self._note(None)
        self._move(Cause.RUNS)
        self._keep_behind()

    async def _stop(self, cause: Cause) -> None:
        graceful = cause is Cause.ASK_STOP and not self.held
        paused = self.state is State.PAUSED
        self._move(cause)
        since = self.progress.stopping_since or self._now()
        self.progress = replace(self.progress, wanted=State.STOPPED, stopping_since=since, reason=None)
        if not graceful:
            stop = self._house.hypervisor.stop(self.who, Stop.NOW, deadline=CALL_DEADLINE)
            await self._with_keeping(stop)
            self._ended(None)
            self._keep_behind()
            return
        self._presses = 0
        await self._with_keeping(self._press(resume=paused))

    async def _press(self, *, resume: bool = False) -> None:
        """Press the power button, and again later: a guest that still boots does not hear it."""
        self._presses += 1
        self._silence()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(
            self._house.next_press(self._presses), lambda: self._post(PressAgain(self.progress.epoch))
        )
        if resume:
            await self._house.hypervisor.resume(self.who, deadline=CALL_DEADLINE)
        await self._house.hypervisor.stop(self.who, Stop.POWER_BUTTON, deadline=CALL_DEADLINE)

    # News

    async def _news(self, news: Changed) -> None:
        asked = self.state is State.STOPPING
        reason = rules.reason(news.why, news.detail, self._now(), asked=asked)
        if news.fact is Fact.ENDED:
            self._ended(reason)
        else:
            cause = Cause.RUNS if news.fact is Fact.RUNNING else Cause.HALTED
            self._move(Cause.BROKE if news.why in BROKEN else cause)
            self.held = news.fact is Fact.HELD
            if reason is not None:
                self._note(reason)
        if self.state is not State.STOPPING:
            self._silence()
            self.progress = replace(self.progress, stopping_since=None)
        await self._quietly(self._keep())

    async def found(self, news: Changed) -> None:
        """Take a fact found after a restart: it wins over what was kept. What was asked for goes on."""
        if news.who.epoch != self.progress.epoch:
            return
        if news.fact is Fact.ENDED:
            await self._news(news)
            return
        self.state = State.RUNNING if news.fact is Fact.RUNNING else State.PAUSED
        self.held = news.fact is Fact.HELD
        self._changed()
        reason = rules.reason(news.why, news.detail, self._now(), asked=False)
        if reason is not None and (self.progress.reason is None or self.progress.reason.cause != reason.cause):
            self._note(reason)
        if self.held and self.progress.wanted is State.RUNNING:
            self._post(Asked(Cause.ASK_RUN, nobody(), Context()))  # the start that was asked for is brought to its end
        elif self.progress.wanted is State.STOPPED:
            self._post(Asked(Cause.ASK_STOP, nobody(), Context()))
        elif news.why is Why.ASKED:
            self.progress = replace(self.progress, wanted=self.state)  # the crash came before it was written down

    def lost(self) -> None:
        """Nothing of it was found after a restart: it does not run, and nobody saw its end."""
        if self.progress.wanted is not State.STOPPED and self.progress.reason is None and self.progress.epoch:
            self._note(
                Reason(
                    cause="host-restarted",
                    message="the host was restarted, or ended while the VM was starting",
                    since=self._now(),
                )
            )
        if self.progress.stopping_since is not None:
            self.progress = replace(self.progress, stopping_since=None)
        if self.progress.run is not None:
            self._run_is_over()
            self._keep_behind()

    def could_not_autostart(self, message: str) -> None:
        """Say why it does not run although it should have started with the server."""
        if self.state is State.STOPPED:
            self._note(Reason(cause="autostart-failed", message=message, since=self._now()))

    async def _ask_for_facts(self) -> None:
        for news in await self._house.hypervisor.adopt(self._house.host):
            if isinstance(news, Changed) and news.who == self.who:
                await self._news(news)
                return
        self._ended(Reason(cause=Why.UNKNOWN.value, message=rules.SENTENCES[Why.UNKNOWN], since=self._now()))

    # Small hands

    def _move(self, cause: Cause) -> None:
        following = after(self.state, cause)
        if following is None:
            log.warning("vm %d: %s means nothing while %s", self.machine.vmid, cause.value, self.state.value)
            return
        if following is not self.state:
            level = logging.DEBUG if following in (State.PAUSING, State.RESUMING) else logging.INFO  # a moment
            log.log(level, "vm %d: %s -> %s (%s)", self.machine.vmid, self.state.value, following.value, cause.value)
        self.state = following
        self._changed()

    def _ended(self, reason: Reason | None) -> None:
        self._silence()
        self.held = False
        self.progress = replace(self.progress, stopping_since=None)
        self._note(reason)
        self._run_is_over()
        if self.state is not State.STOPPED:
            self._move(Cause.ENDED)

    def _run_is_over(self) -> None:
        if self.progress.run is not None:
            self.progress = replace(self.progress, run=None)
            self._house.ended(self.machine)

    def _note(self, reason: Reason | None) -> None:
        self.progress = replace(self.progress, reason=reason)
        self._changed()

    def _changed(self) -> None:
        if not self.retired:
            self._house.changed(self.machine)

    def _silence(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _now(self) -> int:
        return int(self._house.clock())

    async def _keep(self) -> None:
        await self._house.store.keep_progress(self.machine.vmid, self.progress)

    def _keep_behind(self) -> None:
        """Write down, after the answer, what the process itself would tell a server that comes after a crash."""
        task = asyncio.create_task(self._quietly(self._keep()))
        self._house.behind.add(task)
        task.add_done_callback(self._house.behind.discard)

    async def _with_keeping(self, call: Coroutine[Any, Any, None]) -> None:
        """Make the call while what was asked for is written down: both are done on return."""
        keeping = asyncio.ensure_future(self._keep())
        try:
            await call
        finally:
            await keeping

    async def _quietly(self, work: Coroutine[Any, Any, None]) -> None:
        """For what nobody waits for: a failure is logged, and the next letter is served."""
        try:
            await work
        except Exception as error:
            log.warning("vm %d: %s", self.machine.vmid, error)
