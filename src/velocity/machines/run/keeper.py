"""The keeper of one VM: serves its requests, and alone changes its state.

Requests are served one at a time, in order; a forced stop overtakes them. Only facts tell what a call to the hypervisor
has done; its return is just a hint. An idle keeper has no task.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, copy_context
from dataclasses import replace
from typing import Any, TypeVar

from msgspec import UNSET, structs

from velocity import plan
from velocity.access.naming import everybody, revealed
from velocity.contract.machines import Reason, State
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.port import NOT_NEWER, Fact, HypervisorError, NotRunning, Stop, Unknown
from velocity.machines.rules import CALL_DEADLINE, START_DEADLINE, Machine, RunRecord, run_of
from velocity.machines.run.inbox import (
    ExclusiveWork,
    InboxItem,
    StateRequest,
    StopRetry,
    looked_at,
    run_and_answer,
    unawaited,
)
from velocity.machines.run.life import INTERRUPTED, MOMENT, KeeperContext, Life
from velocity.machines.run.states import DOES, STEADY, Cause, after
from velocity.machines.settings import boot

log = logging.getLogger(__name__)

EMERGENCY = 1.0
"""Seconds that a forced stop waits for the database to store it first."""

T = TypeVar("T")


class Keeper(Life):
    """Serves the requests for one VM."""

    __slots__ = ("_inbox", "_killing", "_overtaken", "_presses", "_pump", "_stops", "_timer", "starting")

    def __init__(self, context: KeeperContext, machine: Machine, progress: RunRecord) -> None:
        super().__init__(context, machine, progress)
        self.starting = False
        """A start has begun and is not stored yet: its media count as being written to."""
        self._inbox: deque[InboxItem] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._killing: asyncio.Task[State] | None = None
        self._overtaken = False
        """A forced stop came while a start was being prepared, or a graceful stop was being stored."""
        self._timer: asyncio.TimerHandle | None = None
        self._presses = 0
        self._stops = 0
        """How many stops were requested."""

    @property
    def busy(self) -> bool:
        return self._pump is not None or self._killing is not None

    # Requests

    async def request_state(self, cause: Cause) -> State:
        """Serve a request; returns the state that it leads to. Raises `Refused`."""
        if cause is Cause.ASK_KILL:
            return await self._kill()
        answer: asyncio.Future[State] = asyncio.get_running_loop().create_future()
        self._enqueue(StateRequest(cause, answer, copy_context()))
        return await answer

    async def restart(self, *, force: bool) -> State:
        """Stop the VM, then start it again, even if the caller is cancelled; returns its state. Raises `Refused`."""
        return await (self._kill(restarts=True) if force else self.request_state(Cause.ASK_RESTART))

    async def start_again(self) -> None:
        """The second half of a restart. If it is refused, the VM stays STOPPED with that reason."""
        await self.alone(self._start_again)

    async def alone(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run `work` while no other request for the VM is served. It never begins if the caller is cancelled before."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._enqueue(ExclusiveWork(work, answer, copy_context()))
        return await answer

    def retire(self) -> None:
        """The VM was deleted: do nothing more."""
        self._silence()

    async def close(self, seconds: float) -> None:
        """The server ends: try for `seconds` to store what is not stored yet."""
        self._silence()
        await self.record.close(seconds)

    async def settle(self) -> None:
        """Returns when nothing is being done or stored. A VM that does not respond may remain in its state."""
        while tasks := [one for one in (self._pump, self._killing) if one is not None]:
            await asyncio.wait(tasks)
        await self.record.written(MOMENT)

    def _enqueue(self, item: InboxItem) -> None:
        self._inbox.append(item)
        if self._pump is None:
            self._serve_next()

    def _serve_next(self) -> None:
        """Serve the next item, in its sender's context."""
        item = self._inbox.popleft()
        self._pump = asyncio.get_running_loop().create_task(self._serve(item), context=item.context)

    async def _serve(self, item: InboxItem) -> None:
        try:
            match item:
                case StateRequest(cause, answer):
                    await run_and_answer(self._request(cause), answer)
                case ExclusiveWork(work, answer) if not answer.cancelled():
                    await run_and_answer(self.passage.unless_moving(work), answer)
                    self._changed()
                case StopRetry(epoch) if epoch == self.progress.epoch and self.state is State.STOPPING:
                    await self._stop_again()
        finally:
            self._pump = None
            if self._inbox:
                self._serve_next()
        Context().run(self._go_on)  # outside of the request's context

    async def _request(self, cause: Cause) -> State:
        self._stops += cause is Cause.ASK_STOP
        of_runs = cause in (Cause.ASK_RESTART, Cause.ASK_RESET)
        self._check_there(runs=of_runs)
        following = after(self.state, cause)
        if following is None:
            raise Refused(Problem.NOT_FROM_THIS_STATE, self._not_now(), field="vmid" if of_runs else "state")
        if following is self.state and following is not State.STOPPING:
            if self.unreachable_since is not None and self.state is not State.STOPPED:
                raise Refused(Problem.HYPERVISOR, self._not_now())
            if cause is Cause.ASK_STOP and self.progress.requested is not State.STOPPED:
                plan.stop_here()
                await self.revise(restarts=False, wanted=State.STOPPED)
            if cause is not Cause.ASK_RESET:
                return self.state
        self.passage.check_not_moving()
        for do in DOES[following, cause]:
            plan.step(do, "vm", self.machine.name, id=self.machine.vmid, gid=self.machine.gid)
        if following is not State.STARTING:  # a start asks the host first
            plan.stop_here()
        leads_to = {State.STARTING: self._start, State.PAUSING: self._pause, State.RESUMING: self._resume}
        work = self._reset if cause is Cause.ASK_RESET else leads_to.get(following, self._stop)
        return await self._told(self._done(work(cause)))

    async def _told(self, work: Awaitable[State]) -> State:
        """Await the work. Raises `Refused`, in words for the present request's caller."""
        try:
            return await work
        except HypervisorError as error:
            raise self._failed(error) from None

    async def _done(self, work: Coroutine[Any, Any, None]) -> State:
        """Await the work; returns the state that the facts report then. Raises `HypervisorError`."""
        try:
            await work
            if self.state not in STEADY and (self.state is not State.STOPPING or self.progress.forced):
                await self._find_out()
            return self.state
        except NotRunning:
            await self._find_out()
            raise
        except Unknown:
            self.mark_unknown(silent=True)
            raise
        except HypervisorError:
            if self.state in (State.STARTING, State.PAUSING, State.RESUMING):
                self._move(Cause.FAILED)
                self.progress = replace(self.progress, wanted=self.state)
                self.record.note()
            raise
        except Exception:
            if self.state not in STEADY and self._killing is None:  # facts say what state it has led to
                await self._find_out()
            raise

    async def _start(self, cause: Cause) -> None:
        hold, self._overtaken = cause is Cause.ASK_PAUSE, False
        chosen, host = self.progress.boots, await self.context.place(self)
        spec = structs.replace(await self.context.prepare(replace(self.machine, host=host)), held=hold)
        spec = structs.replace(spec, **boot.told(self.machine.spec, chosen))
        wanted = State.PAUSED if hold else State.RUNNING
        plan.stop_here()
        await self.context.bring(self.machine, host)
        self.written = frozenset(disk.media.medium for disk in spec.disks if not disk.readonly)
        run = structs.replace(run_of(self.machine.spec, spec, self._now()), begun=UNSET if chosen is None else chosen)
        self.starting = True
        self.context.begin_writing(self.written)
        try:
            epoch = await self.context.store.begin_run(self.machine.vmid, wanted, run, host)
        finally:
            self.starting = False
        self.progress = RunRecord(epoch=epoch, wanted=wanted, run=run, restarts=self.progress.restarts)
        self.passage.go_to(host)
        self._move(cause)
        try:
            async with self.context.gate:
                self._check_not_overtaken()
                number = await self.context.hypervisor.start(self.who, spec, deadline=START_DEADLINE)
            await self.context.observer.reached(number)
        except Unknown:
            raise
        except (HypervisorError, Refused) as error:
            stopped = self._overtaken or self.progress.forced
            why = HypervisorError(INTERRUPTED) if self.state is State.STOPPED and NOT_NEWER in str(error) else error
            self.progress = replace(self.progress, boots=chosen)  # nothing has started, so the choice stays
            self._end(None if stopped else Reason(cause="start-failed", message=str(why), since=self._now()))
            self._check_not_overtaken()
            raise why from None

    async def _pause(self, cause: Cause) -> None:
        self._move(cause)
        self.progress = replace(self.progress, wanted=State.PAUSED)
        number = await self.context.hypervisor.pause(self.who, deadline=CALL_DEADLINE)
        await self.context.observer.reached(number)
        self.record.note()  # not before: after a crash, the process itself shows that it was paused

    async def _resume(self, cause: Cause) -> None:
        self._move(cause)
        self.progress = replace(self.progress, wanted=State.RUNNING)
        number = await self.context.hypervisor.resume(self.who, deadline=CALL_DEADLINE)
        await self.context.observer.reached(number)
        self.record.note()
        self.context.resumed(self)

    async def _reset(self, _cause: Cause) -> None:
        """Reset the guest within its run. If a user has paused it, it stays paused; otherwise it runs."""
        number = await self.context.hypervisor.reset(self.who, deadline=CALL_DEADLINE)
        await self.context.observer.reached(number)
        if self.observed is Fact.HELD and self.progress.wanted is not State.PAUSED:
            await self._resume(Cause.ASK_RUN)

    async def _stop(self, cause: Cause) -> None:
        """Press the power button. The stop is stored first, so that an interrupted one continues."""
        asked = replace(
            self.progress,
            wanted=State.STOPPED,
            stopping_since=self.progress.stopping_since or self._now(),
            reason=None,
            forced=self.observed is Fact.HELD,  # the guest has not begun, so it cannot react to the button
            restarts=cause is Cause.ASK_RESTART,
        )
        self._overtaken = False
        await self.record.write(asked)
        if self.state is State.STOPPED or self.progress.forced:  # meanwhile it has ended, or a forced stop came
            if not self._overtaken:
                self.progress = replace(self.progress, restarts=asked.restarts)
            self.record.note()
            return
        self.progress = asked
        self._move(cause)
        self._presses = 0
        if asked.forced:
            await self._end_now()
        else:
            await self._press_power_button()

    async def _press_power_button(self) -> None:
        """Press the power button, and again later, as guests ignore it while they boot."""
        self._again_later()
        if self.observed is Fact.PAUSED:
            number = await self.context.hypervisor.resume(self.who, deadline=CALL_DEADLINE)
            await self.context.observer.reached(number)
        self.context.pressed(self)
        await self.context.hypervisor.stop(self.who, Stop.POWER_BUTTON, deadline=CALL_DEADLINE)

    def _again_later(self) -> None:
        self._presses += 1
        self._silence()
        loop, epoch = asyncio.get_running_loop(), self.progress.epoch
        self._timer = loop.call_later(self.context.next_press(self._presses), lambda: self._enqueue(StopRetry(epoch)))

    async def _stop_again(self) -> None:
        self._silence()
        try:
            if self.progress.forced or self.observed is Fact.HELD:
                await self._told(asyncio.shield(self._ending()))
            else:
                await self._told(self._done(self._press_power_button()))
        except Refused as refusal:
            log.warning("vm %d: %s", self.machine.vmid, refusal.message)

    async def _start_again(self) -> None:
        if self.retired or not self.progress.restarts or self.state is not State.STOPPED:
            return
        try:
            await self._request(Cause.ASK_RUN)
        except Exception as error:
            if self._overtaken and self.progress.restarts:  # by another restart, which will start it again
                return
            words = error.message if isinstance(error, Refused) else repr(error)
            log.warning("vm %d: it is not started again: %s", self.machine.vmid, revealed(words))
            self.progress = replace(self.progress, restarts=False)
            if self.state is State.STOPPED and not self._overtaken:
                self._note(Reason(cause="restart-failed", message=f"not started again: {words}", since=self._now()))
            self.record.note()

    # The forced stop

    async def _kill(self, *, restarts: bool = False) -> State:
        """End the run now, and refuse all waiting requests."""
        self._check_there(runs=restarts and not self.progress.restarts)
        if self.state is not State.STOPPED:
            for do in ("kill", "start") if restarts else ("kill",):
                plan.step(do, "vm", self.machine.name, id=self.machine.vmid, gid=self.machine.gid)
        if self.lives or self.progress.requested is not State.STOPPED:
            plan.stop_here()
        if restarts:
            await self._write_restart()
        else:
            self._stops += 1
        self._overtaken = self.state is not State.STOPPED or not restarts  # otherwise it is about to be started again
        self.passage.overtake()
        for item in list(self._inbox):
            if isinstance(item, StateRequest):
                self._inbox.remove(item)
                if not item.answer.done():
                    item.answer.set_exception(item.context.run(self._overtaken_by_a_stop))
                    item.answer.exception()
        wanted = State.STOPPED if self.state is State.STOPPED and not restarts else self.progress.wanted
        if (self.progress.restarts, self.progress.wanted) != (restarts, wanted):
            self.progress = replace(self.progress, restarts=restarts, wanted=wanted)
            self.record.note()
            self._changed()
        if self.state is State.STOPPED:
            Context().run(self._go_on)
            return self.state
        return await self._told(asyncio.shield(self._ending()))

    async def _write_restart(self) -> None:
        """Store a restart before the run ends, which otherwise continues. Raises `Refused`."""
        if self.state is State.STOPPED or self.progress.restarts:  # it is being restarted already
            return
        stops = self._stops
        await self.record.write(replace(self._forced(), restarts=True))
        if self._stops != stops:
            self.record.note()
            raise self._overtaken_by_a_stop()
        self._check_there()

    def _ending(self) -> asyncio.Task[State]:
        if self._killing is None:
            self.progress = self._forced()
            self._move(Cause.ASK_KILL)  # at once, so that a fact that it runs does not cancel a restart
            self.record.note()
            self._killing = asyncio.get_running_loop().create_task(self._bring_to_its_end(), context=Context())
            self._killing.add_done_callback(looked_at)
        return self._killing

    async def _bring_to_its_end(self) -> State:
        """Several callers may wait for it. Raises `HypervisorError`, which names no VM."""
        try:
            await self.record.written(EMERGENCY)  # if possible: a forced stop does not depend on the database
            return await self._done(self._end_now())
        finally:
            self._killing = None
            if self.state is State.STOPPING:
                self._again_later()
            self._go_on()

    async def _end_now(self) -> None:
        self._silence()
        number = await self.context.hypervisor.stop(self.who, Stop.NOW, deadline=CALL_DEADLINE)
        await self.context.observer.reached(number)

    def _go_on(self) -> None:
        """Continue what was interrupted, once a fact says what the run does."""
        if self.state is not State.STOPPING:
            self._silence()
        if self.doubtful or self.retired or self.busy:
            return
        if self.state is State.STOPPING and self._timer is None:
            self._enqueue(StopRetry(self.progress.epoch))
        elif self.state is State.STOPPED and self.progress.restarts and self.passage.moving is None:
            self._enqueue(ExclusiveWork(self._start_again, asyncio.get_running_loop().create_future(), everybody()))
        elif self.state is State.PAUSED and self.observed is Fact.HELD and self.progress.wanted is State.RUNNING:
            self._enqueue(StateRequest(Cause.ASK_RUN, unawaited(), Context()))
        elif self.unsettled and self.context.alter is not None:
            self.context.alter(self)

    def _check_not_overtaken(self) -> None:
        if self._overtaken or self.progress.forced:
            raise self._overtaken_by_a_stop()

    def _silence(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
