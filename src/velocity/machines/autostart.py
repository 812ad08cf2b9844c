"""The VMs that start with the server, and those whose restart the end of the server came between."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from velocity.contract.machines import State
from velocity.contract.problems import Refused
from velocity.machines.keeper import Keeper
from velocity.machines.states import Cause

log = logging.getLogger(__name__)

AT_ONCE = 2


async def autostart(keepers: Iterable[Keeper]) -> None:
    """Start those that want it and do not run; one that cannot start says why, and holds back no other."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def start(keeper: Keeper) -> None:
        async with slots:
            if keeper.progress.restarts:
                return await keeper.start_again()
            try:
                await keeper.request_state(Cause.ASK_RUN)
            except Refused as refusal:
                log.warning("vm %d: automatic start failed: %s", keeper.machine.vmid, refusal.message)
                keeper.could_not_start(refusal.message)

    stopped = [one for one in keepers if one.state is State.STOPPED]
    wanting = [one for one in stopped if one.machine.spec.autostart or one.progress.restarts]
    await asyncio.gather(*(start(keeper) for keeper in wanting))
