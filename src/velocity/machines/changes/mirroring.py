"""Moves and converts disks in running VMs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from velocity.access.directory import Directory
from velocity.access.naming import visible_name
from velocity.contract.machines import State
from velocity.contract.problems import OutcomeUnknown, Problem, Refused
from velocity.hypervisor.port import HypervisorError, Incarnation, Mirrors, NotRunning, Unknown
from velocity.machines.rules import CALL_DEADLINE
from velocity.machines.run.keeper import Keeper
from velocity.machines.service import Fleet
from velocity.media.attachments import Attachments
from velocity.media.copying import Change, Keep, Take
from velocity.media.library import Library
from velocity.media.rules import Medium
from velocity.media.states import PoolStates
from velocity.storage.patience import reach
from velocity.tasks.service import TaskProgress
from velocity.uninterrupted import whole

LOOK = 0.25
"""Seconds between checks of a copy's progress."""
STILL = 5.0
"""Seconds without progress until the pool is checked for being full: on RBD, writes then wait."""


@dataclass
class _Copy:
    """A copy under way. `unknown`: the outcome of its commit is unknown, and so is the file that counts."""

    keeper: Keeper
    who: Incarnation
    change: Change
    unknown: bool = False


Work = Callable[[_Copy], Awaitable[None]]


class Mirroring:
    """Implements `velocity.media.copying.CopiesInRuns`."""

    def __init__(
        self,
        fleet: Fleet,
        mirrors: Mirrors,
        directory: Directory,
        attachments: Attachments,
        library: Library,
        states: PoolStates,
    ) -> None:
        self._directory = directory
        self._fleet = fleet
        self._mirrors = mirrors
        self._attachments = attachments
        self._library = library
        self._states = states

    def check(self, medium: Medium, mpid: int) -> None:
        keeper, hosts = self._writer(medium), self._fleet.hosts.attached
        vm = visible_name(self._directory, "VM", keeper.machine.name, keeper.gid)
        mine = self._library.visible_name(medium)
        if hosts.pool_hosts.lacks(keeper.machine.host, mpid):
            raise Refused(
                Problem.MEDIUM_IN_USE,
                f"{vm} runs on {hosts.called(keeper.machine.host)} with {mine}, and that pool is on another host: stop "
                "the VM first, or choose a pool of its host",
                field="mpid",
            )
        if keeper.passage.moving is not None:
            raise Refused(Problem.MEDIUM_IN_USE, f"{vm} {keeper.passage.words(keeper.passage.moving)}", field="mid")
        state, silent = keeper.state, keeper.unreachable_since is not None
        if silent or state not in (State.RUNNING, State.PAUSED):
            now = "does not respond" if silent else f"is {state.value}"
            words = f"{vm} runs with {mine} and {now}: wait until it runs, or stop it"
            raise Refused(Problem.MEDIUM_IN_USE, words, field="mid")

    @asynccontextmanager
    async def copying(self, change: Change, progress: TaskProgress) -> AsyncIterator[Take]:
        keeper = self._writer(change.old)
        copy = _Copy(keeper, keeper.who, change)
        mid = change.old.mid
        keeper.mirroring.add(mid)
        try:
            await self._asked(copy, self._begin)
            await self._follow(copy, progress)

            async def take(keep: Keep) -> None:
                await self._asked(copy, lambda copy: self._take(copy, keep), again=True)

            yield take
        finally:
            await whole(self._leave(copy))
            if not copy.unknown:
                keeper.mirroring.discard(mid)
            keeper.stale |= bool(keeper.waits)  # a detach may have waited: a disk that is being copied stays
            if keeper.unsettled:
                self._fleet.live.ask_again(keeper)

    def _writer(self, medium: Medium) -> Keeper:
        vmid = next((one.vmid for one in self._attachments.attached_vms(medium.mid) if one.writing), None)
        if vmid is None:
            raise self._stopped(medium)
        return self._fleet.get(vmid)

    async def _begin(self, copy: _Copy) -> None:
        old, new = copy.change.old, copy.change.new
        await self._fleet.mirrors.note(copy.keeper, old.mid)
        compact = copy.change.is_compact
        await self._mirrors.begin(copy.who, old.ref, new.ref, compact=compact, deadline=CALL_DEADLINE)

    async def _follow(self, copy: _Copy, progress: TaskProgress) -> None:
        """Wait until both files are the same. A host that does not respond may still be copying, and is asked again."""
        still = 0.0
        while True:
            try:
                now = await self._mirrors.progress(copy.who, copy.change.old.ref, deadline=CALL_DEADLINE)
            except Unknown:
                await asyncio.sleep(LOOK)
                continue
            except HypervisorError as error:
                raise self._refused(copy, error) from None
            still = still + LOOK if (now.total, now.done) == (progress.total, progress.done) else 0.0
            progress.total, progress.done = now.total, now.done
            if now.ready:
                return
            if still >= STILL:
                await self._states.check_room(copy.change.new.mpid)
                still = 0.0
            await asyncio.sleep(LOOK)

    async def _take(self, copy: _Copy, keep: Keep) -> None:
        """Raises `Unknown` only before the commit: call it again."""
        mid = copy.change.old.mid
        await self._mirrors.hold(copy.who, copy.change.old.ref, deadline=CALL_DEADLINE)
        try:
            await keep()
        except OutcomeUnknown:
            copy.unknown = True  # so the guest stays paused: the next start asks the database
            raise
        try:
            taken = await self._fleet.mirrors.settle(copy.keeper, mid)
        except (NotRunning, Unknown):
            return  # it has ended, or is asked again; the commit counts
        if not taken and not copy.change.moves:  # for a compacted disk, the file's name was committed
            raise HypervisorError("the new file could not be put in its place")

    async def _leave(self, copy: _Copy) -> None:
        """Give up a copy that was not committed. If the host does not respond, the keeper asks again."""
        mid = copy.change.old.mid

        async def work() -> None:
            run = copy.keeper.progress.run
            if copy.keeper.who == copy.who and run is not None and mid in run.mirrored and not copy.unknown:
                await self._fleet.mirrors.settle(copy.keeper, mid)

        try:
            await copy.keeper.alone(work)
        except (HypervisorError, Refused):
            return

    async def _asked(self, copy: _Copy, work: Work, *, again: bool = False) -> None:
        """Do `work` in its VM's turn, if the run is still the same; `again` while its host does not respond.

        Raises `Refused`.
        """

        async def alone() -> None:
            if copy.keeper.who != copy.who or copy.keeper.retired:
                raise NotRunning("it has ended")
            await work(copy)

        async def turn() -> None:
            await copy.keeper.alone(alone)

        host = self._fleet.hosts.attached.called(copy.keeper.machine.host)
        try:
            # a cancelled turn continues in the keeper: so each is completed, and only the wait between is cancelled
            await (reach(lambda: whole(turn()), host, unknown=Unknown) if again else turn())
        except HypervisorError as error:
            raise self._refused(copy, error) from None

    def _refused(self, copy: _Copy, error: HypervisorError) -> Refused:
        if isinstance(error, NotRunning):
            return self._stopped(copy.change.old)
        mine = self._library.visible_name(copy.change.old)
        words = f"{copy.keeper.called} cannot continue with another file of {mine}: {error}"
        return Refused(Problem.MEDIUM_IN_USE, words)

    def _stopped(self, medium: Medium) -> Refused:
        words = f"the VM that ran with {self._library.visible_name(medium)} has stopped meanwhile: begin again"
        return Refused(Problem.MEDIUM_IN_USE, words)
