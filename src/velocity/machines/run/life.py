"""The state of one VM: what was last requested, what was last observed, and how current that is.

Facts come from the host's observer and are applied at once. States change by `states.TRANSITIONS` alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from msgspec import UNSET

from velocity.contract.machines import Reason, State
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.port import (
    Fact,
    FactCause,
    FactReport,
    HostId,
    HypervisorError,
    Incarnation,
    Machines,
    MachineSpec,
)
from velocity.machines import rules
from velocity.machines.port import MachineStore
from velocity.machines.rules import Machine, RunRecord
from velocity.machines.run import reasons, states
from velocity.machines.run.observer import Observer
from velocity.machines.run.passage import BETWEEN, OVER, Passage
from velocity.machines.run.record import Record
from velocity.machines.run.states import Cause, after

log = logging.getLogger(__name__)

FORCE = "to end it now, stop it with force"
INTERRUPTED = "the connection to its host was interrupted before it was started: start it again"
MOMENT = 2.0
"""Seconds that a response waits for the fact that says how its request ended."""
BROKEN = frozenset({FactCause.GUEST_PANICKED, FactCause.DISK_FULL, FactCause.DISK_ERROR, FactCause.INTERNAL_ERROR})
LAST_KNOWN = {State.RUNNING: State.RUNNING, State.PAUSED: State.PAUSED, State.STOPPED: State.STOPPING}
"""The state last requested of a run -> the state that is shown until a fact comes."""


async def _where_it_is(vm: Life) -> HostId:
    return vm.machine.host


async def _nothing(_machine: Machine, _host: HostId) -> None:
    """Everything is there already."""


@dataclass(frozen=True)
class KeeperContext:
    """What every keeper works with.

    `prepare` builds the specification of a start, or refuses it; `alter` changes the run of a keeper to its present
    settings. Notifications: `begin_writing` before a start, with the media that it may write to; `ended` after a run;
    `changed` when anything shown of a VM changes; `pressed` before each press of its power button; `resumed` after a
    pause. `freed` says whether a VM may be on another host because its own is lost, `over` why a run ended by that,
    and `place` on which host a VM is started: its own, or another one if it is freed. `bring` copies there what is
    kept for the VM, and `rehome` moves the keeper there. `remedy` says what to do if its host does not answer; empty:
    it does. `called` and `called_host` are what a refusal calls a VM and a host.
    """

    host: HostId
    hypervisor: Machines
    observer: Observer
    store: MachineStore
    gate: asyncio.Semaphore
    clock: Callable[[], float]
    prepare: Callable[[Machine], Awaitable[MachineSpec]]
    ended: Callable[[Machine], None]
    next_press: Callable[[int], float] = states.next_press
    changed: Callable[[Machine], None] = lambda machine: None
    alter: Callable[[Any], None] | None = None
    begin_writing: Callable[[Collection[UUID]], None] = lambda media: None
    pressed: Callable[[Life], None] = lambda vm: None
    resumed: Callable[[Life], None] = lambda vm: None
    freed: Callable[[Incarnation], bool] = lambda who: False
    over: Callable[[Life], Reason | None] = lambda vm: None
    called: Callable[[Machine], str] = lambda machine: f"VM {machine.name!r}"
    called_host: Callable[[HostId], str] = lambda host: f"host {host}"
    remedy: Callable[[HostId], str] = lambda host: ""
    place: Callable[[Life], Awaitable[HostId]] = _where_it_is
    bring: Callable[[Machine, HostId], Awaitable[None]] = _nothing
    rehome: Callable[[Any, HostId], KeeperContext] | None = None


class Life:
    """The state of one VM, changed by facts. Its `Keeper` adds the requests."""

    __slots__ = (
        "_known",
        "context",
        "machine",
        "mirroring",
        "number",
        "observed",
        "passage",
        "progress",
        "record",
        "retired",
        "stale",
        "state",
        "tries",
        "unreachable_since",
        "waits",
        "written",
    )

    def __init__(self, context: KeeperContext, machine: Machine, progress: RunRecord) -> None:
        self.context = context
        self.machine = machine
        self.progress = progress
        self.state = State.STOPPED if progress.run is None else LAST_KNOWN[progress.wanted]
        self.observed: Fact | None = None
        """The host's last fact."""
        self.retired = False
        """It is removed, or is being removed: requests are not served any more."""
        self.unreachable_since: int | None = None
        """Since when it or its host has not answered: the state is the last known one."""
        self.written = None if progress.run is None else rules.written_by(progress.run)
        """The media that its run may write to; None: unknown, as an older version started it."""
        self.waits: dict[str, str] = {}
        """Field -> why its change waits for the next start, as far as known."""
        self.stale = progress.run is not None and bool(rules.waiting(machine.spec, progress.run))
        """Its run may differ from its settings: its devices changed, or an earlier server left a change unfinished."""
        self.mirroring: set[UUID] = set()
        """The disks of its run that a task of this server is copying."""
        self.passage = Passage(self, self._go_on)
        self.tries = 0
        """How many changes of its run in a row had an unknown outcome."""
        self.record = Record(context.store, context.hypervisor, machine.vmid, lambda: self.progress, lambda: self.who)
        self.number = 0
        """The number of the last fact that was applied."""
        self._known: asyncio.Event | None = None if progress.run is None else asyncio.Event()
        """Set by the next fact, while one is waited for; None: the state is known."""

    @property
    def who(self) -> Incarnation:
        return Incarnation(self.machine.uuid, self.context.host, self.progress.epoch)

    @property
    def called(self) -> str:
        """What a refusal of the present request calls it."""
        return self.context.called(self.machine)

    @property
    def gid(self) -> int:
        """Its group."""
        return self.machine.gid

    @property
    def doubtful(self) -> bool:
        """It did not answer, and no fact has come since."""
        return self._known is not None

    @property
    def ended(self) -> bool:
        """A fact says that nothing of it runs: it may be deleted, and its media are free."""
        return self.state is State.STOPPED and not self.doubtful

    @property
    def busy(self) -> bool:
        """Something is being asked of it."""
        return False

    @property
    def lives(self) -> bool:
        """It runs or is about to, as far as known."""
        return self.state is not State.STOPPED

    def apply_fact(self, news: FactReport) -> None:
        """Apply a fact that is newer than the last one. It takes precedence over anything stored or assumed."""
        if self.retired or news.number <= self.number or news.who.epoch < self.progress.epoch:
            return
        if news.who.epoch > self.progress.epoch:  # the database was restored from an older copy
            log.warning("vm %d: run %d was not known", self.machine.vmid, news.who.epoch)
            self.progress = RunRecord(epoch=news.who.epoch, wanted=State.RUNNING)
            self.written = None
        if self.passage.keeps_to_itself(news.fact):
            return
        self.number = news.number
        if news.fact is Fact.SILENT:
            self._live(Cause.RUNS if self.state is State.STOPPED else None)
            self.mark_unknown(silent=True)
            return
        self._sure()
        self.observed = news.fact
        if self.passage.moving is not None and news.fact in BETWEEN:
            self._changed()
            return
        self.stale |= news.devices
        if news.fact in OVER:
            self._hear_the_end(news)
        else:
            self._hear_it_lives(news)
        self._changed()
        self._go_on()

    @property
    def unsettled(self) -> bool:
        """Its run may differ from its settings, and can be changed now."""
        run = self.progress.run
        if self.retired or self.doubtful or self.passage.moving is not None:
            return False
        if run is None or self.state not in (State.RUNNING, State.PAUSED):
            return False
        return self.stale or run.coming is not UNSET or bool(left_mirrors(self))

    def host_lost(self) -> None:
        if self.context.freed(self.who):
            return
        self.unreachable_since = self.unreachable_since or self._now()
        self._changed()

    def host_back(self) -> None:
        if not self.doubtful:
            self.unreachable_since = None
        self._changed()

    def tell_reason(self, cause: str, message: str, *, halted: bool = False) -> None:
        """Give a reason for its state that no fact gives; `halted`: a running guest stands still."""
        if halted and self.state is State.RUNNING:
            self._move(Cause.HALTED)
        had = self.progress.reason
        if had is None or (had.cause, had.message) != (cause, message):
            same = had is not None and had.cause == cause
            self._note(Reason(cause=cause, message=message, since=had.since if had and same else self._now()))

    def _hear_the_end(self, news: FactReport) -> None:
        if self.state is State.STOPPED and self.progress.run is None:
            self.record.note()  # reported again, as it was not acknowledged
            return
        asked = self.state is State.STOPPING
        if news.fact is Fact.ABSENT:
            self._end(reasons.of_absence(self.state, self.progress.wanted, self._now()))
        else:
            self._end(reasons.of_fact(news, self._now(), asked=asked))

    def _hear_it_lives(self, news: FactReport) -> None:
        before, old = self.state, self.progress.reason
        cause = Cause.RUNS if news.fact is Fact.RUNNING else Cause.HALTED
        self._live(Cause.BROKE if news.why in BROKEN else cause)
        reason = reasons.of_fact(news, self._now(), asked=False)
        if old is not None and self.state is before:
            stays = (
                FactCause.GUEST_RESET.value
                if reason is None and self.state is State.RUNNING
                else reason and reason.cause
            )
            reason = old if old.cause == stays else reason
        progress = replace(self.progress, reason=reason)
        if self.state is not State.STOPPING:
            progress = replace(progress, stopping_since=None, restarts=False)
        waits = self.observed is Fact.HELD and progress.wanted is State.RUNNING
        if news.why is FactCause.ASKED and progress.wanted is not State.STOPPED and not waits and not self.busy:
            progress = replace(progress, wanted=self.state)  # a crash, or silence, came before it was stored
        if progress != self.progress:
            self.progress = progress
            self.record.note()

    def _live(self, cause: Cause | None) -> None:
        if self.progress.run is None:
            self.progress = replace(self.progress, run=self.machine.spec)
        if cause is not None:
            self._move(cause)

    def _end(self, reason: Reason | None) -> None:
        """The run is over."""
        self._sure()
        self.observed = Fact.ENDED
        self.stale, self.waits, self.passage.formerly = False, {}, ()
        had = self.progress.run is not None
        self.progress = replace(
            self.progress, stopping_since=None, reason=reason, run=None, forced=False, frozen_until=None
        )
        if self.state is not State.STOPPED:
            self._move(Cause.ENDED)
        self.record.note()
        if had:
            self.context.ended(self.machine)
        self._changed()

    async def revise(self, **wishes: Any) -> None:
        """Change fields of its `RunRecord`; they are stored first. Raises `Refused`."""
        before = self.progress
        await self.record.write(replace(before, **wishes))
        if self.progress is not before:  # a fact came meanwhile, and takes precedence
            self.record.note()
        self.progress = replace(self.progress, **wishes)
        self._changed()

    def _go_on(self) -> None:
        """Continue what was interrupted, once a fact says how the run stands."""

    async def _find_out(self) -> None:
        """Wait up to `MOMENT` for the next fact; the observer asks until it comes."""
        self.mark_unknown()
        known = self._known
        if known is not None:
            try:
                async with asyncio.timeout(MOMENT):
                    await known.wait()
            except TimeoutError:
                self.mark_unknown(silent=True)

    def mark_unknown(self, *, silent: bool = False) -> None:
        """Its state may be outdated: the observer asks until a fact comes. `silent`: it does not answer.

        If its host was confirmed dead, its run is over.
        """
        if (over := self.context.over(self)) is not None:
            self._declare_over(over)
            return
        if self._known is None:
            self._known = asyncio.Event()
        if silent and self.unreachable_since is None:
            self.unreachable_since = self._now()
            self._changed()
        self.context.observer.look(self)

    def _declare_over(self, reason: Reason) -> None:
        """Its host is dead: no fact will come."""
        if self.progress.run is not None or self.state is not State.STOPPED:
            stays = self.progress.requested is not State.STOPPED
            self._end(reason if stays else None)
        self._sure()
        self._changed()
        self._go_on()

    def _sure(self) -> None:
        if self._known is not None:
            self._known.set()
            self._known = None
        self.unreachable_since = None

    def _move(self, cause: Cause) -> None:
        following = after(self.state, cause)
        if following is None:
            log.warning("vm %d: %s does not apply while %s", self.machine.vmid, cause.value, self.state.value)
            return
        if following is not self.state:
            level = logging.DEBUG if following in (State.PAUSING, State.RESUMING) else logging.INFO  # a moment
            log.log(level, "vm %d: %s -> %s (%s)", self.machine.vmid, self.state.value, following.value, cause.value)
        self.state = following
        self._changed()

    def _forced(self) -> RunRecord:
        since = self.progress.stopping_since or self._now()
        return replace(self.progress, wanted=State.STOPPED, stopping_since=since, reason=None, forced=True)

    def _check_there(self, *, runs: bool = False) -> None:
        if self.retired:
            raise Refused(Problem.VM_NOT_FOUND, f"there is no VM {self.machine.vmid}", field="vmid")
        if runs and self.state is State.STOPPED:
            raise Refused(Problem.NOT_FROM_THIS_STATE, f"{self.called} is STOPPED: start it", field="vmid")

    def _not_now(self) -> str:
        name = f"{self.called} is {self.state.value}"
        if self.unreachable_since is not None:
            remedy = self.context.remedy(self.machine.host) or "wait until it does, or stop it with force"
            return f"{name} and does not respond: {remedy}"
        return f"{name}: wait until it is STOPPED, or stop it with force"

    def _overtaken_by_a_stop(self) -> Refused:
        words = f"{self.called} was forced off before this was done: repeat the request"
        return Refused(Problem.NOT_FROM_THIS_STATE, words, field="state")

    def _failed(self, error: HypervisorError) -> Refused:
        """The refusal of the present request by this error."""
        remedy = self.context.remedy(self.machine.host) or ("" if self.progress.forced else FORCE)
        words = reasons.of_error(error, self.called, self.machine.vmid, self.state, remedy)
        return Refused(Problem.HYPERVISOR, words)

    def _note(self, reason: Reason | None) -> None:
        self.progress = replace(self.progress, reason=reason)
        self.record.note()
        self._changed()

    def _changed(self) -> None:
        if not self.retired:
            self.context.changed(self.machine)

    def _now(self) -> int:
        return int(self.context.clock())


def left_mirrors(vm: Life) -> list[UUID]:
    """The disks of interrupted copies: the run may have either of two files."""
    run = vm.progress.run
    return [] if run is None else [mid for mid in run.mirrored if mid not in vm.mirroring]
