"""Restarts VMs with `ha` that have ended although they should run: one after the other, with increasing pauses."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from contextvars import Context
from dataclasses import dataclass

from velocity.access.naming import for_everybody, revealed
from velocity.contract.machines import State
from velocity.contract.problems import Refused
from velocity.hypervisor.port import FactCause
from velocity.machines.hosts.autostart import AUTOSTART_FAILED, Leads, autostart, could_not_start, place, unstarted
from velocity.machines.hosts.evacuated import HOST_LOST
from velocity.machines.hosts.in_order import InOrder
from velocity.machines.run.keeper import Keeper
from velocity.machines.run.states import Cause

log = logging.getLogger(__name__)

FAILED = {
    HOST_LOST, "host-restarted", "start-failed", "restart-failed", AUTOSTART_FAILED,
    *(one.value for one in (
        FactCause.KILLED, FactCause.HOST_SIGNAL, FactCause.INTERNAL_ERROR, FactCause.GUEST_PANICKED, FactCause.UNKNOWN,
    )),
}  # fmt: skip
"""Causes after which a VM is started again; a shutdown by its guest or a user is none."""
PAUSES = (0.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds before each attempt; then the last one repeats."""
STEADY = 600.0
"""Seconds that a VM has to run before the pauses start anew."""
AT_ONCE = 2
"""VMs that are restarted at a time."""


@dataclass
class Tries:
    """The number of attempts, and when the last one was (monotonic)."""

    count: int = 0
    last: float = 0.0


def wants(keeper: Keeper) -> bool:
    """Whether the VM should be started again now."""
    reason = keeper.progress.reason
    return (
        keeper.machine.spec.ha == "restart"
        and keeper.ended
        and not keeper.retired
        and keeper.progress.wanted is State.RUNNING
        and reason is not None
        and reason.cause in FAILED
    )


class Availability:
    """Restarts the VMs. `noted` is called for each restart, for the history."""

    def __init__(self, leads: Leads, noted: Callable[[Keeper], None]) -> None:
        self._leads = leads
        self._noted = noted
        self.pauses: tuple[float, ...] = PAUSES
        self.tries: dict[int, Tries] = {}
        """The attempts of the last `STEADY` seconds, by vmid."""
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._starting: set[asyncio.Task[None]] = set()
        self._slots = InOrder(AT_ONCE)
        self._closed = False
        self._hurry = asyncio.Event()

    def look(self, keeper: Keeper) -> None:
        """The VM has changed."""
        vmid = keeper.machine.vmid
        if vmid not in self._tasks and not self._closed and wants(keeper):
            task = asyncio.get_running_loop().create_task(self._bring_back(keeper), context=Context())
            self._tasks[vmid] = task
            task.add_done_callback(lambda done: self._done(keeper, done))

    def _done(self, keeper: Keeper, task: asyncio.Task[None]) -> None:
        del self._tasks[keeper.machine.vmid]
        steady = time.monotonic() - STEADY
        self.tries = {vmid: one for vmid, one in self.tries.items() if vmid in self._tasks or one.last >= steady}
        if not keeper.retired and not task.cancelled():
            self.look(keeper)  # it may have ended again meanwhile

    def hurry(self) -> None:
        """Circumstances have changed, such as a host that is back: retry at once, and start the pauses anew."""
        for tries in self.tries.values():
            tries.count = 0
        self._hurry.set()
        self._hurry.clear()

    def maintenance_ended(self, keepers: Iterable[Keeper]) -> None:
        """Of a host's VMs, start those with autostart that could not be started during it."""
        task = asyncio.get_running_loop().create_task(autostart(unstarted(keepers), self._leads), context=Context())
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def close(self) -> None:
        self._closed = True
        tasks = [*self._tasks.values(), *self._starting]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _bring_back(self, keeper: Keeper) -> None:
        tries = self.tries.setdefault(keeper.machine.vmid, Tries())
        if time.monotonic() - tries.last > STEADY:
            tries.count = 0
        while wants(keeper):
            if doubt := self._leads.doubt():
                _tell(keeper, doubt)
                await self._leads.wait()
            await self._wait(self.pauses[min(tries.count, len(self.pauses) - 1)])
            async with self._slots.turn(place(keeper)):
                if wants(keeper):
                    tries.count += 1
                    await self._start(keeper)
            tries.last = time.monotonic()

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()

    async def _start(self, keeper: Keeper) -> None:
        vmid = keeper.machine.vmid
        with for_everybody():
            try:
                state = await keeper.request_state(Cause.ASK_RUN)
            except Refused as refused:
                log.warning("vm %d: it could not be started again: %s", vmid, revealed(refused.message))
                _tell(keeper, refused.message)
                return
            except Exception:  # a bug of ours does not affect other VMs, and is retried
                log.exception("vm %d: it could not be started again", vmid)
                return
        log.info("vm %d: started again (%s)", vmid, state.value)
        self._noted(keeper)


def _tell(keeper: Keeper, message: str) -> None:
    reason = keeper.progress.reason
    could_not_start(keeper, message, "start-failed" if reason is None else reason.cause)
