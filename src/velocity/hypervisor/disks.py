"""Matches the disks of two specifications by medium and bus rather than by place, without side effects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from velocity.hypervisor.port import Bus, DiskSpec
from velocity.storage.port import MediaRef

Key = tuple[MediaRef, Bus, bool, int]


def matched(has: Sequence[DiskSpec], wanted: Sequence[DiskSpec]) -> dict[int, DiskSpec]:
    """Place of a disk that stays -> its new specification; disks that are attached twice are matched in order."""
    by_key = dict(keyed(wanted))
    return {place: by_key[key] for place, (key, _) in enumerate(keyed(has)) if key in by_key}


def keyed(disks: Sequence[DiskSpec]) -> Iterator[tuple[Key, DiskSpec]]:
    """Each disk with its key."""
    seen: Counter[tuple[MediaRef, Bus, bool]] = Counter()
    for disk in disks:
        what = (disk.media, disk.bus, disk.cdrom)
        yield (*what, seen[what]), disk
        seen[what] += 1
