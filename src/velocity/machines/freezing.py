"""Frozen file systems of guests, for backups from outside: thawed in time, whatever happens.

Until when is written down before the agent is asked, so that a server that comes next thaws them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from contextvars import Context

from velocity import plan
from velocity.contract.guests import LONGEST_FREEZE, FreezeGuest, GuestFrozen, GuestThawed
from velocity.contract.problems import Problem, Refused
from velocity.machines.agents import FREEZE, STATUS, THAW, Agents
from velocity.machines.keeper import Keeper
from velocity.machines.port import Noted

log = logging.getLogger(__name__)

FLUSHED = 60.0
"""Seconds that a guest has at most to write what it holds in memory."""
MOST = 1 << 16
"""File systems that are told."""
PAUSES = (1.0, 5.0, 30.0)
"""Seconds until a guest that could not be thawed is asked again; then the last."""


class Freezing:
    """Those of all guests. `noted` is told of each that the server thaws by itself."""

    def __init__(self, agents: Agents, noted: Noted, clock: Callable[[], float] = time.time) -> None:
        self._agents = agents
        self._noted = noted
        self._clock = clock
        self.pauses: tuple[float, ...] = PAUSES
        self._due: dict[int, asyncio.Task[None]] = {}
        self._under_way: set[int] = set()

    def open(self, keepers: Iterable[Keeper]) -> None:
        """Those that a server before this one has frozen are thawed when it is time."""
        for keeper in keepers:
            if keeper.progress.frozen_until is not None:
                self._thaw_at(keeper, keeper.progress.frozen_until)

    async def close(self) -> None:
        """Guests stay as they are: the next server thaws them."""
        tasks = list(self._due.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def freeze(self, keeper: Keeper, request: FreezeGuest) -> GuestFrozen:
        """Raises `Refused`: if it is not known then whether they are frozen, they are thawed at once."""
        machine = keeper.machine
        self._agents.check(keeper)
        if keeper.progress.frozen_until is not None or machine.vmid in self._under_way:
            words = f"VM {machine.vmid}: its file systems are frozen already: `velocity vm thaw VM` thaws them"
            raise Refused(Problem.AGENT_REFUSED, words)
        plan.step("change", "vm", machine.name, id=machine.vmid, gid=machine.gid, changes={"filesystems": None})
        plan.stop_here()
        self._under_way.add(machine.vmid)
        try:
            return await self._freeze(keeper, request.timeout)
        finally:
            self._under_way.discard(machine.vmid)

    async def _freeze(self, keeper: Keeper, seconds: int) -> GuestFrozen:
        until = int(self._clock()) + seconds
        await keeper.revise(frozen_until=until)
        try:
            count = await self._agents.ask(keeper, FREEZE, int, within=min(FLUSHED, float(seconds)))
        except BaseException as error:  # also: nobody waits any more
            asked = not (isinstance(error, Refused) and error.problem is Problem.NO_AGENT)
            self._thaw_at(keeper, 0, asked=asked)
            raise
        self._thaw_at(keeper, until)
        return GuestFrozen(vmid=keeper.machine.vmid, filesystems=_bounded(count), frozen_until=until)

    async def thaw(self, keeper: Keeper) -> GuestThawed:
        """Raises `Refused`."""
        machine = keeper.machine
        plan.step("change", "vm", machine.name, id=machine.vmid, gid=machine.gid, changes={"filesystems": None})
        plan.stop_here()
        count = await self._agents.ask(keeper, THAW, int)
        await self.forget(keeper)
        return GuestThawed(vmid=machine.vmid, filesystems=_bounded(count))

    async def forget(self, keeper: Keeper) -> None:
        """Nothing of it is frozen any more: what cannot be written down now is behind."""
        try:
            await _forget(keeper)
        except Refused as refused:
            log.warning("vm %d: that it is thawed will be recorded later: %s", keeper.machine.vmid, refused.message)
            self._thaw_at(keeper, 0)

    def _thaw_at(self, keeper: Keeper, at: int, *, asked: bool = True) -> None:
        """In the place of whatever was to be done of it before. `asked`: its agent may have frozen it."""
        vmid = keeper.machine.vmid
        if vmid in self._due:
            self._due[vmid].cancel()
        task = asyncio.get_running_loop().create_task(self._thaw_in_time(keeper, at, asked), context=Context())
        self._due[vmid] = task
        task.add_done_callback(lambda done: self._due.pop(vmid) if self._due.get(vmid) is done else None)

    async def _thaw_in_time(self, keeper: Keeper, at: int, asked: bool) -> None:
        until, tries, machine = keeper.progress.frozen_until, 0, keeper.machine
        await asyncio.sleep(min(max(0.0, at - self._clock()), LONGEST_FREEZE))
        while until is not None and keeper.progress.frozen_until == until and not keeper.retired:
            try:
                if asked and await self._ask_to_thaw(keeper):
                    self._noted("thaw_guest", {"vmid": machine.vmid, "name": machine.name}, machine.gid)
                await _forget(keeper)
            except Exception as error:  # also the database's, or a fault of ours: nothing may stay frozen by it
                if not tries:
                    words = error.message if isinstance(error, Refused) else repr(error)
                    log.warning("vm %d: it is not thawed yet, trying again: %s", machine.vmid, words)
                await asyncio.sleep(self.pauses[min(tries, len(self.pauses) - 1)])
                tries += 1

    async def _ask_to_thaw(self, keeper: Keeper) -> bool:
        """Whether it was frozen. Raises `Refused` as long as it may be so still."""
        try:
            return await self._agents.ask(keeper, THAW, int) > 0
        except Refused as refused:
            if refused.problem is not Problem.AGENT_REFUSED or await self._is_frozen(keeper):
                raise
            return False

    async def _is_frozen(self, keeper: Keeper) -> bool:
        """An agent that does not know of such things has frozen nothing."""
        try:
            return await self._agents.ask(keeper, STATUS, str) == "frozen"
        except Refused as refused:
            if refused.problem is not Problem.AGENT_REFUSED:
                raise
            return False


async def _forget(keeper: Keeper) -> None:
    """Raises `Refused`."""
    if keeper.progress.frozen_until is not None:
        await keeper.revise(frozen_until=None)


def _bounded(count: int) -> int:
    """As the guest says it, who may say anything."""
    return max(0, min(count, MOST))
