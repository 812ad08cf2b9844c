"""The quotas of groups and what their VMs use, in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

from velocity import plan
from velocity.access.rules import NO_LIMITS, NOTHING, Amount, Group, Limits, common, ports
from velocity.changes import Changes


class Quotas:
    """`groups` are the existing ones."""

    def __init__(self, groups: Mapping[int, Group], changes: Changes) -> None:
        self._groups = groups
        self._changes = changes
        self.limits: dict[int, Limits] = {}
        self.used: dict[int, Amount] = {}
        """By gid: what the VMs of the group and its subgroups use."""

    def set_limits(self, gid: int, limits: Limits) -> None:
        self.limits[gid] = limits
        self._changes.note_change("limits", gid, gid)

    def limits_of(self, gid: int) -> Limits:
        return self.limits.get(gid, NO_LIMITS)

    def ports_of(self, line: Sequence[int]) -> range | None:
        """The host ports that may be forwarded to VMs of a group; `line` is it and its ancestors. None: no limit."""
        limits = [limit for gid in line if (limit := self.limits_of(gid).forward_ports) is not None]
        return reduce(common, map(ports, limits)) if limits else None

    def used_by(self, gid: int) -> Amount:
        return self.used.get(gid, NOTHING)

    def count(self, line: Sequence[int], change: Amount) -> None:
        """Count for a group and its ancestors; deleted groups are skipped."""
        plan.consumes(line[0], vars(change))
        for ancestor in line:
            if ancestor in self._groups:
                self.used[ancestor] = self.used_by(ancestor) + change
                self._changes.note_change("quota", ancestor, ancestor)

    def forget(self, gid: int) -> None:
        self.limits.pop(gid, None)
        self.used.pop(gid, None)
