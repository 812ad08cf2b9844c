"""Which disks of a run may be copied to other files, and with which file the run continues.

This is stored before a copy begins: after a crash, the next server lets the run continue with the file that the
database names.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

from msgspec import structs

from velocity.contract.problems import Refused
from velocity.hypervisor.port import HypervisorError, Mirrors, NotRunning, Unknown
from velocity.machines.port import MachineStore
from velocity.machines.rules import CALL_DEADLINE
from velocity.machines.run.life import left_mirrors
from velocity.media.library import Library

if TYPE_CHECKING:
    from velocity.machines.run.keeper import Keeper

log = logging.getLogger(__name__)


class MirroredDisks:
    """The copied disks of all VMs. Its methods are called in the turn of the VM's keeper."""

    def __init__(self, store: MachineStore, mirrors: Mirrors, library: Library) -> None:
        self._store = store
        self._mirrors = mirrors
        self._library = library

    async def note(self, keeper: Keeper, mid: UUID) -> None:
        """Store that this disk may be being copied. Raises `Refused`; then it must not be."""
        run = keeper.progress.run
        if run is not None and mid not in run.mirrored:
            await self._keep(keeper, (*run.mirrored, mid))

    async def settle(self, keeper: Keeper, mid: UUID) -> bool:
        """Let the run continue with the medium's present file; returns whether that is the new one.

        Raises `NotRunning`, and `Unknown`: call it again.
        """
        taken = await self._mirrors.settle(keeper.who, self._library.get(mid).ref, deadline=CALL_DEADLINE)
        run = keeper.progress.run
        if run is not None and mid in run.mirrored:
            with contextlib.suppress(Refused):  # otherwise the next server asks again
                await self._keep(keeper, tuple(one for one in run.mirrored if one != mid))
        return taken

    async def settle_left(self, keeper: Keeper) -> str:
        """Settle disks whose copies nobody continues. Returns why that has failed, in words."""
        for mid in left_mirrors(keeper):
            try:
                await self.settle(keeper, mid)
            except NotRunning:
                keeper.mark_unknown()
            except (HypervisorError, Refused) as error:
                log.warning("vm %d: a disk that was being copied is not settled yet: %s", keeper.machine.vmid, error)
                if isinstance(error, Unknown):
                    keeper.mark_unknown(silent=True)
                return f"one of its disks was being copied, and it does not respond ({error})"
        return ""

    async def _keep(self, keeper: Keeper, mirrored: tuple[UUID, ...]) -> None:
        run = keeper.progress.run
        assert run is not None
        after = structs.replace(run, mirrored=mirrored)
        await self._store.alter_run(keeper.machine.vmid, keeper.progress.epoch, after)
        if keeper.progress.run is run:
            keeper.progress = replace(keeper.progress, run=after)
