"""The boot order of a machine, without side effects."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from velocity.hypervisor.port import DiskSpec, NicSpec

FIRST = -1


def place(one: DiskSpec | NicSpec, first: UUID | int | None) -> int:
    """Its place in the boot order; `first` is tried before all others. 0: it has no place."""
    what = one.media.medium if isinstance(one, DiskSpec) else one.nic
    return FIRST if what == first else one.boot


def in_order(devices: Iterable[tuple[int, str]]) -> list[str]:
    """The devices with a place, in order; then the others, as they come."""
    return [name for _, name in sorted(devices, key=lambda one: (one[0] == 0, one[0]))]
