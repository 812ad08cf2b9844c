"""Copies of firmware variables, in the database, of VMs that could be started on another host after a loss."""

from __future__ import annotations

import asyncio
import logging
import time
import zlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import UUID

from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.attached import TIME, AttachedHost
from velocity.hypervisor.port import HostId
from velocity.machines.hosts.variables import look_at_variables, put_variables, read_variables
from velocity.machines.hosts.watched import WatchedHosts
from velocity.machines.placement.reach import Reach
from velocity.machines.rules import Machine
from velocity.machines.run.keeper import Keeper
from velocity.regularly import regularly
from velocity.storage.port import Stat

log = logging.getLogger(__name__)

EVERY = 10.0
"""Seconds between checks whether they have changed."""
PAUSE = 60.0
"""Seconds between two copies of a running VM's: its guest may change them as often as it likes."""
MOST = 4 << 20
"""The most bytes that are copied. Those of the distributions' firmware are at most a quarter of it."""


@dataclass(frozen=True)
class Mark:
    """Shows whether the file has changed: its modification time in microseconds, and its size."""

    modified: int
    size: int

    @classmethod
    def of(cls, stat: Stat) -> Mark:
        return cls(round(stat.modified * 1e6), stat.size)


@dataclass(frozen=True)
class KeptCopy:
    """What is stored for a machine. `at`: when it was last known to be up to date (Unix seconds)."""

    mark: Mark
    at: float


class VariablesStore(Protocol):
    """Each call is one transaction, durable when it returns."""

    def load(self, known: Collection[str]) -> Mapping[UUID, KeptCopy]:
        """All stored copies. Those of machines not in `known` (uuids) are removed, unless `known` is empty."""

    async def keep(self, machine: UUID, kept: KeptCopy, data: bytes) -> None:
        """Replace the stored copy."""

    async def read(self, machine: UUID) -> bytes:
        """The stored copy; empty if there is none."""

    async def forget(self, machine: UUID) -> None: ...


class KeptVariables:
    """Copies firmware variables, and brings them to the host where a VM starts after its own was lost.

    A file is copied if it has not changed between two checks, nor during the copy: QEMU writes to it at any time, and
    what is read meanwhile may be inconsistent.
    """

    def __init__(self, store: VariablesStore, hosts: WatchedHosts, reach: Reach, clock: Callable[[], float]) -> None:
        """`clock` is in Unix seconds."""
        self._store = store
        self._hosts = hosts
        self._reach = reach
        self.clock = clock
        self.pause = PAUSE
        self._kept: dict[UUID, KeptCopy] = {}
        self._seen: dict[UUID, Mark] = {}
        """As of the last check."""
        self._taken: dict[UUID, float] = {}
        """When each was last copied, in Unix seconds."""
        self._trouble: dict[HostId, str] = {}
        """Why the last copy from a host failed."""
        self._task: asyncio.Task[None] | None = None

    def open(self, known: Collection[str]) -> None:
        """`known` are the uuids of all machines, including those in the trash."""
        self._kept = dict(self._store.load(known))
        self._task = asyncio.create_task(regularly("a look at the firmware variables", EVERY, self.look))

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def look(self) -> None:
        """Check once, on all hosts that respond."""
        if self._hosts.attached.many:
            there = [one for one in self._hosts.attached.all() if one.host not in self._hosts.attached.silent]
            await asyncio.gather(*map(self._look_at, there))

    async def _look_at(self, one: AttachedHost) -> None:
        keepers = [keeper for keeper in self._hosts.of(one.host).keepers.values() if self._may_go(keeper)]
        if not keepers:
            return
        try:
            found = await look_at_variables(one.storage, tuple(keeper.machine.uuid for keeper in keepers))
            for keeper, stat in zip(keepers, found, strict=True):
                if stat is not None:
                    await self._consider(one, keeper, Mark.of(stat))
        except Refused as refused:
            if self._trouble.get(one.host) != refused.message:
                log.warning("the firmware variables on %s cannot be copied now: %s", one.name, refused.message)
            self._trouble[one.host] = refused.message
        else:
            self._trouble.pop(one.host, None)

    def _may_go(self, keeper: Keeper) -> bool:
        """Whether other hosts have everything that it needs."""
        is_shared = self._hosts.attached.pool_hosts.is_shared
        stays = keeper.retired or keeper.passage.moving is not None
        return not stays and all(map(is_shared, self._reach.pools(keeper.machine.spec)))

    async def _consider(self, one: AttachedHost, keeper: Keeper, mark: Mark) -> None:
        uuid, now = keeper.machine.uuid, self.clock()
        before, self._seen[uuid] = self._seen.get(uuid), mark
        kept = self._kept.get(uuid)
        if kept is not None and kept.mark == mark:
            self._kept[uuid] = replace(kept, at=now)
        elif before == mark and not (keeper.lives and 0 <= now - self._taken.get(uuid, 0) < self.pause):
            await self._take(one, keeper, KeptCopy(mark, now))  # at once if the clock was set back

    async def _take(self, one: AttachedHost, keeper: Keeper, kept: KeptCopy) -> None:
        uuid = keeper.machine.uuid
        self._taken[uuid] = kept.at
        if kept.mark.size > MOST:
            log.warning("vm %d: its firmware variables are too large to be copied", keeper.machine.vmid)
            return
        data = await read_variables(one.storage, uuid, kept.mark.size)
        (after,) = await look_at_variables(one.storage, (uuid,))
        if after is None or Mark.of(after) != kept.mark or len(data) != kept.mark.size:
            return
        packed = await asyncio.to_thread(zlib.compress, data)
        if not keeper.retired and keeper.machine.host == one.host:
            await self._store.keep(uuid, kept, packed)
            self._kept[uuid] = kept

    # For a start elsewhere

    def told(self, machine: Machine) -> str:
        """In words, that a start elsewhere has them, and as of when; empty if there are none."""
        kept = self._kept.get(machine.uuid)
        return "" if kept is None else f", with the firmware variables of {time.strftime(TIME, time.gmtime(kept.at))}"

    async def bring(self, machine: Machine, host: HostId) -> None:
        """Put them on the host where it is about to start. Raises `Refused`."""
        if host == machine.host:
            return
        data = await self._store.read(machine.uuid)
        one = self._hosts.attached.find(host)
        if one is None or not data:
            log.warning("vm %d: no copy of its firmware variables was kept, so they are reset", machine.vmid)
            return
        try:
            unpacked = await asyncio.to_thread(zlib.decompress, data)
        except zlib.error:
            raise Refused(Problem.UNAVAILABLE, "the copy of its firmware variables cannot be read") from None
        await put_variables(one.storage, machine.uuid, _whole(unpacked))
        log.info("vm %d: it continues%s", machine.vmid, self.told(machine))

    async def forget(self, machine: UUID) -> None:
        """The machine was removed permanently. A copy that cannot be removed now is removed at the next start."""
        self._seen.pop(machine, None)
        self._taken.pop(machine, None)
        if self._kept.pop(machine, None) is not None:
            try:
                await self._store.forget(machine)
            except Refused as refusal:
                log.warning("the copy of a removed VM's firmware variables stays for now: %s", refusal.message)


async def _whole(data: bytes) -> AsyncIterator[bytes]:
    yield data
