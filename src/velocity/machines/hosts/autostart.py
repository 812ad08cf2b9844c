"""Starts VMs with the server, and continues restarts that the end of the server interrupted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Protocol

from velocity.access.naming import for_everybody, revealed
from velocity.contract.machines import State
from velocity.contract.problems import Refused
from velocity.machines.run.keeper import Keeper
from velocity.machines.run.states import Cause

log = logging.getLogger(__name__)

AT_ONCE = 2
"""VMs that are started at a time."""
AUTOSTART_FAILED = "autostart-failed"
"""The reason's cause if a VM does not run although it starts by itself."""
STILL = "; it could not be started again: "


class Leads(Protocol):
    """Whether this server may start VMs by itself, and knows all VMs that its hosts may have."""

    @property
    def complete(self) -> bool:
        """Whether the database is complete, that is, not an older copy that may lack VMs."""

    def doubt(self) -> str:
        """Why it may not yet, in words; empty if it may."""

    async def wait(self) -> None:
        """Returns when it may."""


def place(keeper: Keeper) -> tuple[bool, int, int]:
    """Its place among the VMs that the server starts by itself: the lowest is first."""
    order = keeper.machine.spec.start_order
    return not order, order, keeper.machine.vmid


async def autostart(keepers: Iterable[Keeper], leads: Leads) -> None:
    """Start the VMs with autostart that do not run. One that cannot start gets a reason, and delays no other."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def start(keeper: Keeper) -> None:
        async with slots:
            with for_everybody():
                try:
                    await (keeper.start_again() if keeper.progress.restarts else keeper.request_state(Cause.ASK_RUN))
                except Refused as refusal:
                    log.warning("vm %d: automatic start failed: %s", keeper.machine.vmid, revealed(refusal.message))
                    could_not_start(keeper, refusal.message)

    def wanting() -> list[Keeper]:
        stopped = [one for one in keepers if one.state is State.STOPPED]
        return sorted((one for one in stopped if one.machine.spec.autostart or one.progress.restarts), key=place)

    keepers = list(keepers)
    if (doubt := leads.doubt()) and (waiting := wanting()):
        log.warning("VMs that start by themselves do not yet (%d): %s", len(waiting), doubt)
        for keeper in waiting:
            could_not_start(keeper, doubt)
        await leads.wait()
    await asyncio.gather(*(start(keeper) for keeper in wanting()))


def unstarted(keepers: Iterable[Keeper]) -> list[Keeper]:
    """Those that start by themselves, and could not."""
    reasons = ((one, one.progress.reason) for one in keepers)
    return [one for one, reason in reasons if reason is not None and reason.cause == AUTOSTART_FAILED]


def could_not_start(keeper: Keeper, message: str, cause: str = AUTOSTART_FAILED) -> None:
    """Set the reason why it does not run although it should, added to an earlier reason with that `cause`."""
    if keeper.state is not State.STOPPED:
        return
    had = keeper.progress.reason
    if had is not None and had.cause == cause:
        message = f"{had.message.partition(STILL)[0]}{STILL}{message}"
    keeper.tell_reason(cause, message)
