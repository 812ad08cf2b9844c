"""All VMs, found by their ids, uuids and groups."""

from __future__ import annotations

from collections.abc import Callable, Collection
from uuid import UUID

from velocity.contract.problems import Problem, Refused
from velocity.machines.run.keeper import Keeper


class VmIndex:
    """The keepers of all VMs."""

    def __init__(self) -> None:
        self._by_id: dict[int, Keeper] = {}
        self._by_uuid: dict[UUID, Keeper] = {}
        self._by_group: dict[int, dict[int, Keeper]] = {}

    def get(self, vmid: int) -> Keeper:
        """Raises `Refused`: there is none."""
        if (keeper := self._by_id.get(vmid)) is None:
            raise Refused(Problem.VM_NOT_FOUND, f"there is no VM {vmid}, or you may not see it", field="vmid")
        return keeper

    def find(self, vmid: object) -> Keeper | None:
        return self._by_id.get(vmid) if isinstance(vmid, int) else None

    def all(self) -> list[Keeper]:
        return list(self._by_id.values())

    def of_groups(self, gids: Collection[int]) -> list[Keeper]:
        """The VMs of these groups."""
        return [keeper for gid in gids for keeper in self._by_group.get(gid, {}).values()]

    def where(self, allowed: Callable[[int], bool]) -> list[Keeper]:
        """The VMs of the groups for which `allowed` is true."""
        return [keeper for gid, keepers in self._by_group.items() if allowed(gid) for keeper in keepers.values()]

    def add(self, keeper: Keeper) -> None:
        """Add a VM, or one with the same ids again."""
        machine = keeper.machine
        self._by_id[machine.vmid] = keeper
        self._by_uuid[machine.uuid] = keeper
        self._by_group.setdefault(machine.gid, {})[machine.vmid] = keeper

    def remove(self, keeper: Keeper) -> None:
        machine = keeper.machine
        del self._by_id[machine.vmid]
        del self._by_uuid[machine.uuid]
        del self._by_group[machine.gid][machine.vmid]
        if not self._by_group[machine.gid]:
            del self._by_group[machine.gid]
