"""The VMs in the lists of groups, encoded once after each change."""

from __future__ import annotations

from collections.abc import Callable, Collection

from msgspec import UNSET, UnsetType

from velocity.contract.encoded import Encoded
from velocity.contract.machines import Interface, VmSummary
from velocity.contract.placement import HostRef
from velocity.machines.rules import Machine, Spec
from velocity.machines.run.keeper import Keeper


class Summaries:
    """Caches the lines of VMs and groups until `invalidate`."""

    def __init__(
        self,
        interfaces: Callable[[Machine, Spec | None], list[Interface]],
        host_of: Callable[[Machine], HostRef | UnsetType],
    ) -> None:
        """`interfaces` gives a VM's NICs, from its settings and its run; `host_of` gives its host."""
        self._interfaces = interfaces
        self._host_of = host_of
        self._vms: dict[int, Encoded[VmSummary]] = {}
        self._groups: dict[int, Encoded[list[VmSummary]]] = {}

    def invalidate(self, machine: Machine) -> None:
        """The VM has changed, or is gone. Called in the step in which that shows."""
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
            if keepers:  # an empty group would never be forgotten
                self._groups[gid] = whole
        return whole

    def _encoded(self, keeper: Keeper) -> Encoded[VmSummary]:
        machine, spec = keeper.machine, keeper.machine.spec
        nics = self._interfaces(machine, keeper.progress.run)
        summary = VmSummary(
            vmid=machine.vmid,
            name=machine.name,
            cpus=spec.cpus,
            memory_mib=spec.memory_mib,
            state=keeper.state,
            address=next((known.address for one in nics for known in one.known_addresses or ()), UNSET),
            mac=nics[0].mac if nics else UNSET,
            host=self._host_of(machine),
            unreachable_since=UNSET if keeper.unreachable_since is None else keeper.unreachable_since,
        )
        encoded = self._vms[machine.vmid] = Encoded(summary)
        return encoded
