"""What the list of a group shows of its VMs, encoded once after each change, and then only joined."""

from __future__ import annotations

from collections.abc import Callable, Collection

from msgspec import UnsetType

from velocity.contract.encoded import Encoded
from velocity.contract.machines import VmSummary
from velocity.contract.placement import HostRef
from velocity.machines.keeper import Keeper
from velocity.machines.rules import Machine


class Summaries:
    """Of each VM and of each group, as they were when somebody asked, until `changed`."""

    def __init__(self, host_of: Callable[[Machine], HostRef | UnsetType]) -> None:
        """`host_of` tells where a VM is."""
        self._host_of = host_of
        self._vms: dict[int, Encoded[VmSummary]] = {}
        self._groups: dict[int, Encoded[list[VmSummary]]] = {}

    def invalidate(self, machine: Machine) -> None:
        """It shows otherwise, or no more. To be called in the step in which it does."""
        self._vms.pop(machine.vmid, None)
        self._groups.pop(machine.gid, None)

    def encoded(self, keepers: Collection[Keeper]) -> Encoded[list[VmSummary]]:
        """These VMs."""
        return Encoded([(self._vms.get(one.machine.vmid) or self._encoded(one)).in_place for one in keepers])

    def encoded_group(self, gid: int, keepers: Collection[Keeper]) -> Encoded[list[VmSummary]]:
        """All VMs of a group."""
        whole = self._groups.get(gid)
        if whole is None:
            whole = self.encoded(keepers)
            if keepers:  # of none, nobody would forget it
                self._groups[gid] = whole
        return whole

    def _encoded(self, keeper: Keeper) -> Encoded[VmSummary]:
        machine, spec = keeper.machine, keeper.machine.spec
        summary = VmSummary(
            vmid=machine.vmid,
            name=machine.name,
            cpus=spec.cpus,
            memory_mib=spec.memory_mib,
            state=keeper.state,
            host=self._host_of(machine),
        )
        encoded = self._vms[machine.vmid] = Encoded(summary)
        return encoded
