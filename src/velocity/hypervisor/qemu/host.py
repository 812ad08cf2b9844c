"""Answers about this host and its machines that need no QMP."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Collection, Sequence
from uuid import UUID

from velocity.hypervisor.port import (
    Confinement,
    HostFacts,
    HostId,
    HostNow,
    HypervisorError,
    Incarnation,
    NicAddress,
    Unknown,
)
from velocity.hypervisor.qemu import confine, facts, neighbours, nic_filters
from velocity.hypervisor.qemu.adoption import Adoption
from velocity.hypervisor.qemu.deadline import within
from velocity.hypervisor.qemu.meter import command
from velocity.hypervisor.qemu.options import Options
from velocity.hypervisor.qemu.starting import Starts
from velocity.hypervisor.qemu.watched_runs import WatchedRuns
from velocity.network import fence

FENCE_LOOK = 10.0
"""Seconds for which a check of the packet filter is reused."""


class QemuHosts:
    """Implements `velocity.hypervisor.port.Hosts` for this host."""

    known: HostFacts
    """What this host supports; set once, before the first call."""

    def __init__(self, options: Options, watched: WatchedRuns, starts: Starts, adoption: Adoption) -> None:
        self._options = options
        self._watched = watched
        self._starts = starts
        self._adoption = adoption
        self._fenced: tuple[float, bool] = (0.0, False)

    def about(self, host: HostId) -> HostFacts:
        return self.known

    async def memory_free(self, host: HostId, *, deadline: float) -> int:
        return facts.memory_free_mib()

    async def now(self, host: HostId, *, deadline: float) -> HostNow:
        return facts.now()

    async def kept(self, host: HostId, *, deadline: float) -> Collection[UUID]:
        async with within(deadline, "the machines with data on this host could not be determined in time"):
            kept = await asyncio.to_thread(self._watched.place.kept)
        return {one for one in kept if one not in self._watched} - self._starts.machines()

    async def neighbours(self, host: HostId, *, deadline: float) -> Collection[NicAddress]:
        runs = [one.run for one in self._watched]
        async with within(deadline, "the addresses of machines on this host could not be determined in time"):
            return await asyncio.to_thread(neighbours.heard, runs)

    async def command(self, who: Incarnation, *, deadline: float) -> Sequence[str] | None:
        try:
            watched = self._adoption.running(who)
        except HypervisorError:
            return None
        shorter = ((self._watched.place.runs.root, "RUN"), (self._options.data_dir, "DATA"))
        async with within(deadline, "its command line could not be read in time"):
            return await asyncio.to_thread(command, watched.qemu.pid, shorter)

    async def confinement(self, who: Incarnation, *, deadline: float) -> Confinement | None:
        try:
            watched = self._adoption.running(who)
            async with within(deadline, "the packet filter does not respond"):
                reaches = watched.run.nat and not await self._fence_holds()
                bridge = self._watched.place.nat
                shut, unfiltered = await asyncio.to_thread(nic_filters.looked_at, watched.run, bridge)
                reaches = reaches or not shut
            status = confine.status(watched.qemu.pid)
            return confine.read_back(
                status,
                server_uid=os.geteuid(),
                nat=watched.run.nat,
                nat_reaches_loopback=reaches,
                unfiltered_nics=unfiltered,
            )
        except Unknown:
            raise
        except (HypervisorError, OSError, KeyError):
            return None  # or it has ended while we looked

    async def _fence_holds(self) -> bool:
        uids = self._options.uids
        if uids is None:
            return False
        looked, holds = self._fenced
        if time.monotonic() - looked > FENCE_LOOK:
            holds = await asyncio.to_thread(fence.holds, uids)
            self._fenced = (time.monotonic(), holds)
        return holds
