"""The order in which a machine's firmware tries what it may boot from. Pure."""

from __future__ import annotations

from collections.abc import Iterable


def in_order(devices: Iterable[tuple[int, str]]) -> list[str]:
    """Those with a place first; 0 is none: they follow as they come."""
    return [name for _, name in sorted(devices, key=lambda one: (one[0] == 0, one[0]))]
