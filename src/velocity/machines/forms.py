"""What the list of a group shows of its VMs, encoded once after each change, and then only joined."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

import msgspec

from velocity.contract.machines import VmSummary
from velocity.machines.keeper import Keeper
from velocity.machines.rules import Machine

_encode = msgspec.json.Encoder().encode


class Summaries:
    """Of each VM and of each group, as they were when somebody asked, until `changed`."""

    def __init__(self) -> None:
        self._vms: dict[int, msgspec.Raw] = {}
        self._groups: dict[int, msgspec.Raw] = {}

    def changed(self, machine: Machine) -> None:
        """It shows otherwise, or no more. To be called in the step in which it does."""
        self._vms.pop(machine.vmid, None)
        self._groups.pop(machine.gid, None)

    def of(self, gid: int, keepers: Collection[Keeper]) -> list[VmSummary]:
        """All VMs of a group. What is given is the list's encoding: to be put into an answer, and for nothing else."""
        whole = self._groups.get(gid)
        if whole is None:
            whole = msgspec.Raw(_encode([self._vms.get(one.machine.vmid) or self._encoded(one) for one in keepers]))
            if keepers:  # of none, nobody would forget it
                self._groups[gid] = whole
        return cast("list[VmSummary]", whole)

    def _encoded(self, keeper: Keeper) -> msgspec.Raw:
        machine, spec = keeper.machine, keeper.machine.spec
        summary = VmSummary(
            vmid=machine.vmid, name=machine.name, cpus=spec.cpus, memory_mib=spec.memory_mib, state=keeper.state
        )
        encoded = self._vms[machine.vmid] = msgspec.Raw(_encode(summary))
        return encoded
