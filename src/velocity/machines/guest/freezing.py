"""Freezes file systems of guests, for external backups, and thaws them in time, whatever happens.

The deadline is stored before the agent is asked, so that the next server can thaw them, too.
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
from velocity.machines.guest.agents import FREEZE, STATUS, THAW, Agents
from velocity.machines.port import Noted
from velocity.machines.run.keeper import Keeper

log = logging.getLogger(__name__)

FLUSHED = 60.0
"""Seconds that a guest has at most to flush its memory."""
MOST = 1 << 16
"""The most file systems that are reported."""
PAUSES = (1.0, 5.0, 30.0)
"""Seconds between attempts to thaw a guest; the last one repeats."""


class Freezing:
    """Freezes and thaws all guests. `noted` is called when the server thaws one by itself."""

    def __init__(self, agents: Agents, noted: Noted, clock: Callable[[], float] = time.time) -> None:
        self._agents = agents
        self._noted = noted
        self._clock = clock
        self.pauses: tuple[float, ...] = PAUSES
        self._due: dict[int, asyncio.Task[None]] = {}
        self._under_way: set[int] = set()

    def open(self, keepers: Iterable[Keeper]) -> None:
        """Thaw what an earlier server has frozen, when it is time."""
        for keeper in keepers:
            if keeper.progress.frozen_until is not None:
                self._thaw_at(keeper, keeper.progress.frozen_until)

    async def close(self) -> None:
        """Guests stay frozen: the next server thaws them."""
        tasks = list(self._due.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def freeze(self, keeper: Keeper, request: FreezeGuest) -> GuestFrozen:
        """Raises `Refused`; if it is not known then whether they are frozen, they are thawed at once."""
        machine = keeper.machine
        self._agents.check(keeper)
        if keeper.progress.frozen_until is not None or machine.vmid in self._under_way:
            words = f"{keeper.called}: its file systems are frozen already: `velocity vm thaw VM` thaws them"
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
        except BaseException as error:  # even if the caller was cancelled
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
        """Nothing of it is frozen any more; if that cannot be stored now, it is stored later."""
        try:
            await _forget(keeper)
        except Refused as refused:
            log.warning("vm %d: that it is thawed will be recorded later: %s", keeper.machine.vmid, refused.message)
            self._thaw_at(keeper, 0)

    def _thaw_at(self, keeper: Keeper, at: int, *, asked: bool = True) -> None:
        """Thaw it at this time, instead of an earlier plan. `asked`: its agent may have frozen it."""
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
            except Exception as error:  # whatever has failed, nothing may stay frozen
                if not tries:
                    words = error.message if isinstance(error, Refused) else repr(error)
                    log.warning("vm %d: it is not thawed yet, trying again: %s", machine.vmid, words)
                await asyncio.sleep(self.pauses[min(tries, len(self.pauses) - 1)])
                tries += 1

    async def _ask_to_thaw(self, keeper: Keeper) -> bool:
        """Whether it was frozen. Raises `Refused` while it may still be."""
        try:
            return await self._agents.ask(keeper, THAW, int) > 0
        except Refused as refused:
            if refused.problem is not Problem.AGENT_REFUSED or await self._is_frozen(keeper):
                raise
            return False

    async def _is_frozen(self, keeper: Keeper) -> bool:
        """Whether it is frozen. An agent that does not know the command has frozen nothing."""
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
    """The guest's number, within bounds."""
    return max(0, min(count, MOST))
