"""VMs that are being deleted, alone or with their group: they leave the fleet, then the store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from velocity.access.directory import Directory
from velocity.access.naming import visible_name
from velocity.contract.problems import Problem, Refused
from velocity.machines.rules import Machine
from velocity.machines.run.keeper import Keeper
from velocity.machines.run.states import Cause
from velocity.machines.service import Fleet

AT_ONCE = 100
"""VMs that are taken at a time; with more, other requests are served in between."""


GIVE_UP = 10.0
"""Seconds to cancel a move to another host before its VM is deleted."""


class PendingVmDeletion:
    """VMs that are being deleted: nobody can start them any more."""

    size = 0

    def __init__(self, directory: Directory, fleet: Fleet, forget: Callable[[Machine], Awaitable[None]]) -> None:
        """`forget` removes what the host stores for a VM that is deleted permanently."""
        self._directory = directory
        self._fleet = fleet
        self._forget = forget
        self._keepers: list[Keeper] = []
        self.ended = ""

    def take(self, keeper: Keeper) -> None:
        keeper.retired = True
        self._fleet.remove(keeper)
        self._keepers.append(keeper)

    async def end(self, keepers: Sequence[Keeper], *, force: bool) -> None:
        """Take them all; with force, running ones are killed first. Raises `Refused`, and has then taken none."""

        async def take(keeper: Keeper) -> None:
            if not keeper.retired:  # otherwise another request has deleted it meanwhile
                check_stopped(self._directory, keeper)
                self.take(keeper)

        async def end(keeper: Keeper) -> None:
            if force and not keeper.retired:
                if keeper.lives:
                    self.ended = "those of its VMs that ran were stopped"
                await keeper.request_state(Cause.ASK_KILL)
                await keeper.passage.wait(GIVE_UP)
            await keeper.alone(lambda: take(keeper))

        for begin in range(0, len(keepers), AT_ONCE):
            some = keepers[begin : begin + AT_ONCE]
            outcomes = await asyncio.gather(*map(end, some), return_exceptions=True)
            failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
            if failures:
                await self.restore()
                raise Refused(Problem.GROUP_BUSY, f"not all of its VMs could be stopped: {failures[0]}")

    async def restore(self) -> None:
        for keeper in self._keepers:
            keeper.retired = False
            self._fleet.add(keeper)

    def committed(self) -> None:
        for keeper in self._keepers:
            keeper.retire()
            self._fleet.claims.drop(keeper.machine.uuid)

    async def finish(self, *, purge: bool) -> None:
        for keeper in self._keepers if purge else ():
            await self._forget(keeper.machine)


def check_stopped(directory: Directory, keeper: Keeper) -> None:
    """Raises `Refused` for a running VM, whose group cannot be deleted."""
    if not keeper.ended:
        vm = visible_name(directory, "VM", keeper.machine.name, keeper.machine.gid)
        words = f"{vm} of it is {keeper.state.value}: stop it first, or send `force`"
        raise Refused(Problem.GROUP_BUSY, words, field="force")
