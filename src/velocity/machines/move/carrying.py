"""Brings a VM to another host: its settings through the server, its guest directly from host to host."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import cast

from msgspec import structs

from velocity.access.lasting import WhileAllowed
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.attached import AttachedHosts
from velocity.hypervisor.port import (
    Copied,
    Fact,
    Hypervisor,
    HypervisorError,
    Incarnation,
    MachineSpec,
    MovePhase,
    MoveProgress,
    NotRunning,
)
from velocity.machines.hosts.variables import copy_variables
from velocity.machines.move.crossing import Crossing
from velocity.machines.move.rules import HostMove
from velocity.machines.placement.host_memory import HostMemory
from velocity.machines.rules import CALL_DEADLINE, START_DEADLINE
from velocity.machines.run.live import LiveChanges
from velocity.machines.settings import cloud_init
from velocity.media.rules import Medium
from velocity.storage.patience import reach
from velocity.storage.port import Belongs, Blobs, Clone, JobProgress, Jobs, MediaRef, Storage, Trash
from velocity.tasks.service import TaskProgress

COPYING = "copying media"
END_LOOKS, END_LOOK = 5, 0.2
"""How often, and at which interval in seconds, to check whether the run that waits for a guest has ended."""
A_DAY = 86_400.0
"""Seconds for a guest and its disks to reach the other host. Users who do not want to wait cancel the task."""


class Carrying:
    """Carries VMs over. After a failure the VM is where it was, or its hosts report where it is."""

    def __init__(
        self,
        hypervisor: Hypervisor,
        live: LiveChanges,
        hosts: AttachedHosts,
        memory: HostMemory,
        blobs: Blobs,
        jobs: Jobs,
        trash: Trash,
    ) -> None:
        self._memory = memory
        self._machines = hypervisor.machines
        self._mobility = hypervisor.mobility
        self._live = live
        self._hosts = hosts
        self._blobs = blobs
        self._jobs = jobs
        self._trash = trash

    async def carry(self, crossing: Crossing, progress: TaskProgress, right: WhileAllowed) -> None:
        """Raises `Refused`."""
        try:
            if crossing.move.live:
                await self._carry_run(crossing, progress, right)
            else:
                await self._carry_stopped(crossing, progress, right)
        except NotRunning:
            raise Refused(Problem.HYPERVISOR, "the VM has stopped meanwhile: it stays where it was") from None
        except HypervisorError as error:
            raise Refused(Problem.HYPERVISOR, str(error)) from None

    async def _carry_stopped(self, crossing: Crossing, progress: TaskProgress, right: WhileAllowed) -> None:
        await self._copy(crossing.media, progress, right)
        move = crossing.move

        async def copied() -> None:
            await copy_variables(self._storage(move.source), move.uuid, self._storage(move.target), move.uuid)

        await reach(copied, lambda: self._hosts.called_silent(move.source, move.target))

    async def _carry_run(self, crossing: Crossing, progress: TaskProgress, right: WhileAllowed) -> None:
        """First copy the media that the guest only reads; the others are copied together with the guest."""
        move, keeper = crossing.move, crossing.keeper
        assert keeper is not None, "a move begins with a VM"
        spec = await self._live.made_of(keeper)
        run = keeper.progress.run
        if run is not None:  # present settings apply from its next start
            spec = structs.replace(spec, seed=cloud_init.seed(replace(keeper.machine, spec=run)))
        written = {disk.media for disk in spec.disks if not disk.readonly}
        read = [pair for pair in crossing.media if pair[0].ref not in written]
        await self._copy(read, progress, right)
        for _, new in read:  # the target opens only files that are in their place
            await self._trash.settle(new.ref, Belongs.KEPT, deadline=CALL_DEADLINE)
        copied = [Copied(old.ref, new.ref) for old, new in crossing.media if old.ref in written]
        sizes = {new.ref: new.size for _, new in crossing.media}
        for one in copied:
            await self._blobs.create(one.target, sizes[one.target], deadline=CALL_DEADLINE)
        there = _with_media(spec, {old.ref: new.ref for old, new in crossing.media})
        places = await self._mobility.places(move.leaving, deadline=CALL_DEADLINE)
        landing = await self._mobility.receive(move.coming, there, places, copied, deadline=START_DEADLINE)
        sending = self._mobility.send(move.leaving, landing, copied, deadline=A_DAY)
        try:
            async with aclosing(cast("AsyncGenerator[MoveProgress, None]", sending)) as steps:
                async for now in steps:
                    right.check()
                    self._check_awaited(move, now)
                    keeper.passage.stands = now.phase is MovePhase.HANDING_OVER
                    progress.phase = now.phase.value
                    progress.total, progress.done = now.total, now.done
                    if now.phase is not MovePhase.DISKS:
                        missing = now.total - now.done if now.phase is MovePhase.MEMORY else 0
                        self._memory.set_missing(move.uuid, missing >> 20)
        except NotRunning:
            raise
        except HypervisorError as error:  # the source knows only its own side
            if said := await self._last_words(move.coming):
                raise HypervisorError(f"{error}; {self._hosts.called(move.target)} said: {said}") from None
            raise

    def _check_awaited(self, move: HostMove, now: MoveProgress) -> None:
        """Raises `Refused` if the target is silent: a guest handed over to it would stand still until it responds.

        While disks are copied there is still time for the host to come back.
        """
        if now.phase is not MovePhase.DISKS and now.done < now.total and (why := self._hosts.silence(move.target)):
            words = f"{why}: the VM continues where it was; move it again once that host responds"
            raise Refused(Problem.HYPERVISOR, words)

    async def _last_words(self, who: Incarnation) -> str:
        """Why the run that waited for its guest has ended by itself; empty: it has not, or the reason is unknown."""
        with contextlib.suppress(HypervisorError):
            for _ in range(END_LOOKS):
                news = await self._machines.facts(who, deadline=CALL_DEADLINE)
                if news.fact is not Fact.INCOMING:
                    return news.detail if news.fact is Fact.ENDED else ""
                await asyncio.sleep(END_LOOK)
        return ""

    async def _copy(self, pairs: Sequence[tuple[Medium, Medium]], progress: TaskProgress, right: WhileAllowed) -> None:
        """Copy media. The copies are not media yet: the commit makes them so."""
        progress.phase = COPYING
        progress.total = sum(old.size for old, _ in pairs)
        before = 0
        for old, new in pairs:
            await self._jobs.prepare(Clone(old.ref, new.ref), deadline=CALL_DEADLINE)
            try:
                await self._jobs.start(new.ref, new.size, deadline=CALL_DEADLINE)
                async for now in self._jobs.watch(new.ref):
                    right.check()
                    if isinstance(now, JobProgress):
                        progress.done = before + now.done
            finally:
                await self._jobs.cancel(new.ref, deadline=CALL_DEADLINE)
            before += old.size

    def _storage(self, host: int) -> Storage:
        """The storage of a host, which has the firmware variables of its machines. Raises `Refused`."""
        one = self._hosts.find(host)
        if one is None:
            raise Refused(Problem.NO_HOST, f"{self._hosts.called(host)} was removed meanwhile")
        return one.storage


def _with_media(spec: MachineSpec, names: dict[MediaRef, MediaRef]) -> MachineSpec:
    """The same specification, with these media replaced."""
    disks = tuple(structs.replace(disk, media=names.get(disk.media, disk.media)) for disk in spec.disks)
    return structs.replace(spec, disks=disks)
