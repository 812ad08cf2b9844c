"""The quotas of groups and what their machines take of them, in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

from velocity import plan
from velocity.access.rules import NO_LIMITS, NOTHING, Amount, Group, Limits, common, ports
from velocity.changes import Changes


class Quotas:
    """`groups` are those that are there."""

    def __init__(self, groups: Mapping[int, Group], changes: Changes) -> None:
        self._groups = groups
        self._changes = changes
        self.limits: dict[int, Limits] = {}
        self.used: dict[int, Amount] = {}
        """What the machines of a group and its subgroups take."""

    def set_limits(self, gid: int, limits: Limits) -> None:
        self.limits[gid] = limits
        self._changes.note_change("limits", gid, gid)

    def limits_of(self, gid: int) -> Limits:
        return self.limits.get(gid, NO_LIMITS)

    def ports_of(self, line: Sequence[int]) -> range | None:
        """The ports of the host that may lead to the VMs of a group; None: none of these groups limits them."""
        limits = [limit for gid in line if (limit := self.limits_of(gid).forward_ports) is not None]
        return reduce(common, map(ports, limits)) if limits else None

    def used_by(self, gid: int) -> Amount:
        return self.used.get(gid, NOTHING)

    def count(self, line: Sequence[int], change: Amount) -> None:
        """Count for a group and all above it; those that are no more do not count."""
        plan.consumes(line[0], vars(change))
        for ancestor in line:
            if ancestor in self._groups:
                self.used[ancestor] = self.used_by(ancestor) + change
                self._changes.note_change("quota", ancestor, ancestor)

    def forget(self, gid: int) -> None:
        self.limits.pop(gid, None)
        self.used.pop(gid, None)
