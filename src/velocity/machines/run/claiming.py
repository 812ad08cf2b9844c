"""What VMs claim by their settings and runs, also while a change is being committed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from uuid import UUID

from velocity.machines.rules import Machine
from velocity.machines.run.keeper import Keeper
from velocity.machines.settings.builder import Builder
from velocity.machines.settings.claims import Claims


class Claiming:
    """`keeper` finds the keeper of an existing VM."""

    def __init__(self, claims: Claims, builder: Builder, keeper: Callable[[UUID], Keeper | None]) -> None:
        self._claims = claims
        self._builder = builder
        self._keeper = keeper
        self._becoming: dict[UUID, Machine] = {}

    def again(self, uuid: UUID) -> None:
        """Claim anew: its run has ended or has changed, or the media that it may write to have."""
        keeper = self._keeper(uuid)
        if keeper is not None:
            machine = self._becoming.get(uuid, keeper.machine)
            self._claims.put(uuid, self._builder.claim(machine, keeper.progress.run))

    @contextlib.contextmanager
    def becoming(self, keeper: Keeper, machine: Machine) -> Iterator[None]:
        """Within, its future settings are claimed for it, whatever its run does meanwhile. Raises `Refused`.

        After a failure inside, it has its former claim, as far as its run still has that.
        """
        uuid = machine.uuid
        try:
            with self._claims.taken(uuid, self._builder.claim(machine, keeper.progress.run)):
                self._becoming[uuid] = machine
                yield
        except BaseException:
            if self._becoming.pop(uuid, None) is not None:
                self.again(uuid)
            raise
        del self._becoming[uuid]
