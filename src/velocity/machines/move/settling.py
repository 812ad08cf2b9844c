"""Ends a move: completes or undoes it, depending on what both hosts report, whatever was killed meanwhile.

The order is essential: a guest that was handed over runs nowhere until the database says where; only then is the other
host cleared. Calls to a host that does not respond are repeated until it does.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from dataclasses import replace
from typing import Any

from velocity.access.naming import for_everybody
from velocity.contract.problems import OutcomeUnknown, Refused
from velocity.hypervisor.attached import AttachedHosts
from velocity.hypervisor.mobility import SAID
from velocity.hypervisor.port import (
    Fact,
    FactReport,
    HostId,
    Hypervisor,
    HypervisorError,
    Incarnation,
    NotRunning,
    SerialEnd,
    Stop,
    Unknown,
)
from velocity.machines.hosts.variables import drop_variables
from velocity.machines.move.crossing import Crossing, Holding
from velocity.machines.move.inherited import Whereabouts, leave
from velocity.machines.move.rules import Do, HostMove, MoveStore, Phase, follows
from velocity.machines.move.targets import Pairs
from velocity.machines.rules import CALL_DEADLINE, Machine
from velocity.machines.run.keeper import Keeper
from velocity.machines.run.passage import OVER, Moving
from velocity.machines.run.record import RETRY_DELAYS
from velocity.machines.service import Fleet
from velocity.media.library import Library
from velocity.storage.port import Belongs, MediaRef, Trash

log = logging.getLogger(__name__)

LOOK_DEADLINE = 2.0
"""Seconds for a host to report what it has of the VM."""


class Settling:
    """The moves that are under way, and those that still have to be cleared from one host."""

    def __init__(
        self,
        store: MoveStore,
        fleet: Fleet,
        hypervisor: Hypervisor,
        library: Library,
        trash: Trash,
        holding: Holding,
        whereabouts: Whereabouts,
    ) -> None:
        self._store = store
        self._whereabouts = whereabouts
        self._fleet = fleet
        self._hosts: AttachedHosts = fleet.hosts.attached
        self._hypervisor = hypervisor
        self._library = library
        self._trash = trash
        self._holding = holding
        self._crossings: set[Crossing] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._back = asyncio.Event()
        fleet.passing, fleet.host_is_back = self.knows, self.host_is_back

    # The start and the end of the server

    async def open(self) -> None:
        """Continue or undo the moves that an earlier server began. Called before the hosts are contacted."""
        for move in self._store.load():
            keeper = self._fleet.find(move.vmid)
            crossing = Crossing(move, keeper if keeper and keeper.machine.uuid == move.uuid else None)
            self._crossings.add(crossing)
            if move.phase is Phase.BEGUN and not move.live and not move.inherited:
                await self._undo(crossing)
            begun, run = crossing.move.phase is Phase.BEGUN, crossing.keeper and crossing.keeper.who
            if crossing.keeper is not None and (begun or run == move.coming or crossing.is_open):
                crossing.media = self._pairs(move)
                self._holding.hold_again(crossing, Moving(move.target))
            self.settle(crossing)

    def _pairs(self, move: HostMove) -> Pairs:
        """The media that still have to move: none if the move is committed."""
        found = [(self._library.find(one.mid), one) for one in move.media if move.phase is Phase.BEGUN]
        return [(medium, replace(medium, mpid=one.target)) for medium, one in found if medium is not None]

    async def close(self) -> None:
        """The next server continues the moves."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    # For other areas

    def host_is_back(self) -> None:
        """A host responds again: retry at once what waits for one."""
        self._back.set()
        self._back = asyncio.Event()

    def knows(self, news: FactReport) -> bool:
        """Whether a run belongs to a move: then no VM has it now, and the move ends it."""
        return any(news.who in (one.move.leaving, one.move.coming) for one in self._crossings)

    @property
    def left(self) -> list[HostMove]:
        """The moves that are not finished."""
        return [one.move for one in self._crossings]

    def leaves(self, keeper: Keeper, host: int) -> bool:
        """Whether an earlier move of this VM still has to be cleared on that host."""
        return any(one.move.uuid == keeper.machine.uuid and one.other_host() == host for one in self._crossings)

    def clearing(self, keeper: Keeper) -> list[asyncio.Task[None]]:
        """The tasks that are clearing its earlier moves on hosts that respond."""
        own = (one for one in self._crossings if one.move.uuid == keeper.machine.uuid)
        return [one.clearing for one in own if one.clearing and not self._hosts.silence(one.other_host())]

    # Settling

    async def begin(self, crossing: Crossing) -> None:
        """Store the move: from here on it will be settled, whatever happens. Raises `Refused`: it has not begun."""
        crossing.move = await self._store.begin(crossing.move)
        self._crossings.add(crossing)

    def settle(self, crossing: Crossing) -> asyncio.Task[bool]:
        """Bring the move to its end, however long a host is silent. The result: whether the VM has moved."""
        return self._do(self._settle(crossing))

    def _do(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _settle(self, crossing: Crossing) -> bool:
        try:
            if crossing.move.phase is Phase.BEGUN:
                await self._again(crossing, self._decide)
            if crossing.move.phase is not Phase.UNDONE and crossing.is_open:
                await self._again(crossing, self._let_run)
            if crossing.move.phase is Phase.DONE:
                await self._keep(crossing.move)
                await self._again(crossing, self._release_if_over)
            if crossing.move.phase is Phase.BACK:
                await self._again(crossing, self._undo)
        except OutcomeUnknown:  # the server ends
            return False
        crossing.held.close()
        crossing.clearing = self._do(self._again(crossing, self._clear))
        return crossing.move.phase is Phase.DONE

    async def _again(self, crossing: Crossing, step: Callable[[Crossing], Awaitable[bool]]) -> None:
        """Repeat the step until it returns True."""
        for tries in itertools.count():
            try:
                if await step(crossing):
                    return
            except OutcomeUnknown:
                raise
            except (HypervisorError, Refused) as error:
                log.info("vm %d: its move continues later: %s", crossing.move.vmid, error)
            except Exception:
                log.exception("vm %d: its move continues later", crossing.move.vmid)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_DELAYS[min(tries, len(RETRY_DELAYS) - 1)]):
                    await self._back.wait()

    async def _decide(self, crossing: Crossing) -> bool:
        do = await self._what(crossing)
        if do is Do.FORWARD:
            return await self._commit(crossing)
        if do is Do.UNDO:
            return await self._undo(crossing)
        if do is Do.BACK:
            return await self._turn_back(crossing)
        return False

    async def _what(self, crossing: Crossing) -> Do:
        move = crossing.move
        lives = move.target not in self._fleet.evacuation.evacuated.dead
        if not move.live:
            do = Do.FORWARD if crossing.carried and lives else Do.UNDO
        else:
            do = await self._told(crossing)
        if do is Do.UNDO and move.inherited and lives and await self._have_gone(move):
            return Do.FORWARD
        return do

    async def _told(self, crossing: Crossing) -> Do:
        """What follows from both hosts' reports; once everything is carried over, the target's report suffices."""
        move = crossing.move
        source: Fact | None
        target: Fact | None
        if crossing.carried and crossing.wanted:  # a VM that is to stop, and has ended there, needs no target
            source, target = Fact.HANDED, await self._fact(move.coming)
            if target is Fact.INCOMING:
                target = Fact.RECEIVED  # it is about to say so
        else:
            source, target = await asyncio.gather(self._fact(move.leaving), self._fact(move.coming))
        do = follows(source, target, wanted=crossing.wanted)
        if do is Do.UNDO and source not in OVER and await self._is_released(move):
            source = await self._fact(move.leaving)  # nothing can change its state any more
            do = follows(source, Fact.ENDED, wanted=crossing.wanted)
        if source is Fact.HANDED and do is Do.WAIT:
            self._tell_that_it_stands(crossing, move.target)
        return do

    async def _have_gone(self, move: HostMove) -> bool:
        """Whether another server has committed the move, with its media. Raises `Refused` while that is unknown."""
        try:
            return await self._whereabouts.have_gone(move.media)
        except Refused:
            if move.source in self._fleet.evacuation.evacuated.dead:
                return False  # nobody will ever know
            raise

    async def _fact(self, who: Incarnation) -> Fact | None:
        try:
            return (await self._hypervisor.machines.facts(who, deadline=LOOK_DEADLINE)).fact
        except HypervisorError:
            return None

    async def _is_released(self, move: HostMove) -> bool:
        try:
            await self._hypervisor.mobility.release(move.coming, deadline=CALL_DEADLINE)
        except HypervisorError:
            return False
        return True

    async def _commit(self, crossing: Crossing) -> bool:
        move, keeper = crossing.move, crossing.keeper
        assert keeper is not None, "a move that is not committed has a VM"
        _, crossing.last = await asyncio.gather(self._store.commit(move), self._last(move))
        crossing.is_now(Phase.DONE)
        crossing.stands = move.live
        for keep in crossing.keeps:
            keep()
        for _, new in crossing.media:
            self._library.add(new)
        self._settle_on(keeper, replace(keeper.machine, host=move.target), move.next_epoch)
        return True

    def _settle_on(self, keeper: Keeper, machine: Machine, epoch: int) -> None:
        """The VM is on that host from here on; its run, if any, continues there with that epoch."""
        hosts, claims = self._fleet.hosts, self._fleet.claims
        del hosts.by_id[keeper.machine.host].keepers[machine.vmid]
        watched = hosts.of(machine.host)
        keeper.passage.go_on_as(watched.context, machine, epoch)
        watched.keepers[machine.vmid] = keeper
        keeper.host_lost() if watched.observer.lost else keeper.host_back()  # the other host's silence counts no more
        claims.put(machine.uuid, self._fleet.builder.claim(machine, keeper.progress.run))
        watched.context.changed(machine)

    async def _keep(self, move: HostMove) -> None:
        """Keep its media at the target, unless they have been moved on."""
        for one in move.media:
            if (medium := self._library.find(one.mid)) is not None and medium.mpid == one.target:
                await self._trash.settle(one.there, Belongs.KEPT, deadline=CALL_DEADLINE)

    async def _undo(self, crossing: Crossing) -> bool:
        with contextlib.suppress(Refused):  # otherwise the next server decides again
            await self._store.undo(crossing.move.mvid)
        crossing.is_now(Phase.UNDONE)
        return True

    async def _turn_back(self, crossing: Crossing) -> bool:
        keeper = crossing.keeper
        assert keeper is not None, "a move that is not committed has a VM"
        epoch = await self._store.turn_back(crossing.move)
        self._settle_on(keeper, keeper.machine, epoch)
        crossing.is_now(Phase.BACK)
        crossing.stands = True
        return True

    async def _let_run(self, crossing: Crossing) -> bool:
        """Let the guest run on the host that the database now names."""
        move, keeper, mobility = crossing.move, crossing.keeper, self._hypervisor.mobility
        assert keeper is not None, "it was looked at"
        if keeper.progress.run is None or not crossing.wanted:
            return True  # a forced stop ends it
        try:
            if move.phase is Phase.DONE:
                last = await self._last(move) if crossing.last is None else crossing.last
                number = await mobility.take(keeper.who, last.said, last.typed, deadline=CALL_DEADLINE)
            else:
                number = await mobility.back(keeper.who, deadline=CALL_DEADLINE)
            keeper.passage.goes_on()
            await self._fleet.hosts.of(keeper.who.host).observer.reached(number)
        except NotRunning:
            keeper.passage.end_heard = True
            return True
        except Unknown:
            keeper.mark_unknown(silent=True)
            if crossing.stands:
                self._tell_that_it_stands(crossing, move.target if move.phase is Phase.DONE else move.source)
            return False
        return True

    async def _release_if_over(self, crossing: Crossing) -> bool:
        """If its run was declared over meanwhile, because a host was lost, release what waits at the target."""
        move = crossing.move
        if not move.live or crossing.is_open or self._hosts.find(move.target) is None:
            return True
        if await self._fact(move.coming) in (None, Fact.INCOMING, Fact.RECEIVED):
            await self._hypervisor.mobility.release(move.coming, deadline=CALL_DEADLINE)
        return True

    def _tell_that_it_stands(self, crossing: Crossing, host: HostId) -> None:
        if (keeper := crossing.keeper) is None or not crossing.wanted:
            return
        words = "{host}, where it is to continue, does not respond: it runs nowhere until that host does"
        with for_everybody():
            reason = f"it was handed over between hosts, and {words.format(host=self._hosts.called(host))}"
        keeper.tell_reason("move-unfinished", reason, halted=True)
        keeper.passage.tell(f"cannot continue yet: {words}. To end it, stop it with force", host)

    async def _last(self, move: HostMove) -> SerialEnd:
        """The end of its serial console at the source, where the guest stands still; empty if that does not respond."""
        if not move.live:
            return SerialEnd()
        try:
            return await self._hypervisor.mobility.last(move.leaving, deadline=LOOK_DEADLINE)
        except Unknown:
            return SerialEnd()
        except HypervisorError:  # it has ended there, or that node is older and lacks this call
            with contextlib.suppress(HypervisorError):
                said = await self._hypervisor.consoles.said(move.source, move.uuid, SAID, deadline=LOOK_DEADLINE)
                return SerialEnd(said)
        return SerialEnd()

    # Clearing the other host

    async def _clear(self, crossing: Crossing) -> bool:
        move, host = crossing.move, crossing.other_host()
        if self._hosts.find(host) is not None:
            if move.phase is Phase.DONE:
                await self._clear_source(move)
            elif not await self._clear_target(crossing):
                return False
        await self._store.finish(move.mvid)
        self._crossings.discard(crossing)
        return True

    async def _clear_source(self, move: HostMove) -> None:
        """Its run's end is acknowledged by the host's observer, as no VM is waiting for it."""
        machines = self._hypervisor.machines
        if move.live:
            await machines.stop(move.leaving, Stop.NOW, deadline=CALL_DEADLINE)
        if not move.inherited:  # it may have come back since
            await machines.forget(move.source, move.uuid, deadline=CALL_DEADLINE)
        for one in move.media:
            await self._drop(move, one.here)

    async def _clear_target(self, crossing: Crossing) -> bool:
        """Returns False if the guest was handed over at the last moment: then it is taken back first."""
        move, keeper = crossing.move, crossing.keeper
        is_there = move.inherited or (keeper is not None and keeper.machine.host == move.target)  # by another move
        if move.live:
            await self._hypervisor.mobility.release(move.coming, deadline=CALL_DEADLINE)
            if keeper is not None and keeper.who == move.leaving and await self._fact(move.leaving) is Fact.HANDED:
                await self._turn_back(crossing)
                await self._again(crossing, self._let_run)
                await self._undo(crossing)
                return False
        elif (one := self._hosts.find(move.target)) is not None and not is_there:
            await drop_variables(one.storage, move.uuid)
        for medium in move.media:
            await self._drop(move, medium.there)
        return True

    async def _drop(self, move: HostMove, ref: MediaRef) -> None:
        """Remove a copy, unless the medium is there by now, or may be because another server has committed the move."""
        if (medium := self._library.find(ref.medium)) is not None and medium.mpid == ref.pool:
            return
        if move.inherited:
            leave(move.vmid, ref)
        else:
            await self._trash.lift(ref, deadline=CALL_DEADLINE)
            await self._trash.settle(ref, Belongs.NOWHERE, deadline=CALL_DEADLINE)
