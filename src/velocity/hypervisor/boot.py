"""The order in which a machine's firmware tries its devices. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from velocity.hypervisor.port import DiskSpec, NicSpec

FIRST = -1


def place(one: DiskSpec | NicSpec, first: UUID | int | None) -> int:
    """Where it stands; `first` is tried before all others. 0: it has no place."""
    what = one.media.medium if isinstance(one, DiskSpec) else one.nic
    return FIRST if what == first else one.boot


def in_order(devices: Iterable[tuple[int, str]]) -> list[str]:
    """Those with a place first; the others follow as they come."""
    return [name for _, name in sorted(devices, key=lambda one: (one[0] == 0, one[0]))]
