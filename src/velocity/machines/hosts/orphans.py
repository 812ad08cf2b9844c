"""Removes what a host stores for machines: with the machine or, after a crash, once it is unknown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from contextvars import Context
from typing import Protocol
from uuid import UUID

from velocity.contract.problems import Refused
from velocity.hypervisor.port import HostId, Hypervisor, HypervisorError
from velocity.machines.rules import CALL_DEADLINE
from velocity.machines.run.observer import Observer

log = logging.getLogger(__name__)


AGAIN, SELDOM = 5.0, 300.0
"""Seconds until a removal is repeated: the first pause, and the longest, as each is twice as long as the one before."""


class PurgedStore(Protocol):
    """Where data of removed machines may still be stored. Each call is one transaction, durable when it returns.

    A host is noted by the transaction that removes a VM permanently, and forgotten when it has left the installation.
    """

    async def add(self, host: HostId, machine: UUID) -> None:
        """The host may store something of this machine, which belongs to no VM."""

    async def hosts(self, machine: UUID) -> Sequence[HostId]: ...

    async def machines(self, host: HostId) -> Sequence[UUID]: ...

    async def removed(self, host: HostId, machine: UUID) -> None:
        """The host stores nothing of it any more."""


class MachineData:
    """What hosts store for machines that were removed permanently: their firmware variables and logs.

    What could not be removed is tried again: after a while, when the host responds again, and by a later server.
    """

    def __init__(self, hypervisor: Hypervisor, store: PurgedStore) -> None:
        self._hypervisor = hypervisor
        self._store = store
        self._repeating: dict[HostId, asyncio.Task[None]] = {}

    async def close(self) -> None:
        for task in self._repeating.values():
            task.cancel()
        if self._repeating:
            await asyncio.wait(self._repeating.values())

    async def drop(self, host: HostId, uuid: UUID) -> None:
        """Remove what the host stores for a machine that has become no VM."""
        try:
            await self._store.add(host, uuid)
        except Refused as refused:
            log.warning(
                "machine %s: what host %d stores of it is found at the next start: %s", uuid, host, refused.message
            )
            return
        await self.remove(uuid)

    async def remove(self, uuid: UUID) -> None:
        """Remove what all hosts store for it, now, or repeatedly until they do so."""
        try:
            places = await self._store.hosts(uuid)
        except Refused as refused:
            log.warning("machine %s: its data are removed by the next start: %s", uuid, refused.message)
            return
        for host in places:
            if not await self._remove(host, uuid):
                self._try_again(host)

    async def remove_left(self, host: HostId) -> None:
        """The host responds: remove what is left there, now, or repeatedly until it does so."""
        if not await self._remove_all(host):
            self._try_again(host)

    async def _remove_all(self, host: HostId) -> bool:
        """Returns whether nothing is left there, nor was added meanwhile."""
        try:
            while left := await self._store.machines(host):
                for uuid in left:
                    if not await self._remove(host, uuid):
                        return False  # a host that hangs holds up who waits for this by one deadline, not by one each
            return True
        except Refused as refused:
            log.warning("data of removed machines stay on host %d for now: %s", host, refused.message)
            return False

    async def _remove(self, host: HostId, uuid: UUID) -> bool:
        try:
            await self._hypervisor.machines.forget(host, uuid, deadline=CALL_DEADLINE)
            await self._store.removed(host, uuid)
        except (HypervisorError, Refused) as error:
            log.warning("machine %s: its data could not be removed yet, will retry: %s", uuid, error)
            return False
        return True

    def _try_again(self, host: HostId) -> None:
        if host not in self._repeating:
            self._repeating[host] = asyncio.create_task(self._repeat(host), context=Context())

    async def _repeat(self, host: HostId) -> None:
        pause = AGAIN
        try:
            await asyncio.sleep(pause)
            while not await self._remove_all(host):
                pause = min(2 * pause, SELDOM)
                await asyncio.sleep(pause)
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
