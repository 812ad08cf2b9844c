"""Removes what a host stores for machines: with the machine or, after a crash, once it is unknown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from contextvars import Context
from uuid import UUID

from velocity.hypervisor.port import HostId, Hypervisor, HypervisorError
from velocity.machines.rules import CALL_DEADLINE
from velocity.machines.run.observer import Observer

log = logging.getLogger(__name__)


AGAIN, SELDOM = 5.0, 300.0
"""Seconds until a removal is repeated: the first pause, and the longest, as each is twice as long as the one before."""


class MachineData:
    """What hosts store for machines that were removed permanently: their firmware variables and logs.

    What could not be removed is kept in memory alone. A later server finds it as an orphan, but not on another host
    that has no VMs any more: see `Fleet._on_first_contact`.
    """

    def __init__(self, hypervisor: Hypervisor) -> None:
        self._hypervisor = hypervisor
        self._left: dict[HostId, list[UUID]] = {}
        self._repeating: dict[HostId, asyncio.Task[None]] = {}

    async def close(self) -> None:
        for task in self._repeating.values():
            task.cancel()
        if self._repeating:
            await asyncio.wait(self._repeating.values())

    async def remove(self, host: HostId, uuid: UUID) -> None:
        """Remove it, now, or repeatedly until the host does so."""
        try:
            await self._hypervisor.machines.forget(host, uuid, deadline=CALL_DEADLINE)
        except HypervisorError as error:
            log.warning("machine %s: its data could not be removed yet, will retry: %s", uuid, error)
            self._left.setdefault(host, []).append(uuid)
            if host not in self._repeating:
                self._repeating[host] = asyncio.create_task(self._repeat(host), context=Context())

    async def remove_left(self, host: HostId) -> None:
        """The host responds again."""
        for uuid in self._left.pop(host, ()):
            await self.remove(host, uuid)

    async def _repeat(self, host: HostId) -> None:
        pause = AGAIN
        try:
            while host in self._left:
                await asyncio.sleep(pause)
                await self.remove_left(host)
                pause = min(2 * pause, SELDOM)
        finally:
            del self._repeating[host]


async def remove_orphans(hypervisor: Hypervisor, host: HostId, observer: Observer, known: Collection[str]) -> None:
    """Remove what is stored for machines not in `known` (uuids), which a crash may have left.

    A database without VMs may be the wrong one: then nothing is removed, nor for machines that may run.
    """
    if observer.listing is None or not observer.listing.complete or not known:
        return
    await observer.strangers_acknowledged()  # a host keeps machines whose end nobody has acknowledged
    try:
        kept = await hypervisor.hosts.kept(host, deadline=CALL_DEADLINE)
        may_run = {one.machine for one in observer.unknown}
        for uuid in sorted(uuid for uuid in set(kept) - may_run if str(uuid) not in known):
            log.warning("machine %s belongs to no VM: its data are removed", uuid)
            await hypervisor.machines.forget(host, uuid, deadline=CALL_DEADLINE)
    except HypervisorError as error:
        log.warning("host %d: data of machines that belong to no VM cannot be removed: %s", host, error)
