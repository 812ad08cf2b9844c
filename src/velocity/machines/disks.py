"""What is set of a VM's disks: pure functions over specifications."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

from msgspec import UNSET, structs

from velocity.contract.machines import Attachment, MediaMode
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.port import SECTOR, DiskLimits, HostFacts
from velocity.machines.rules import Spec
from velocity.media.rules import Medium, is_blank


def check(spec: Spec, media: Sequence[Medium]) -> None:
    """Refuse sectors of a CD-ROM, and limits that say the same twice. `media` are what is attached."""
    for number, (one, medium) in enumerate(zip(spec.media, media, strict=True)):
        if one.sector_size is not UNSET and medium.is_iso and one.mode != MediaMode.BLOCK.value:
            raise Refused(
                Problem.MALFORMED,
                f"media[{number}].sector_size: a CD-ROM has sectors of its own: leave it out, or attach it as BLOCK",
                field=f"media[{number}].sector_size",
            )
        limits = limits_of(one)
        for what in ("iops", "bytes"):
            if getattr(limits, what) and (getattr(limits, f"read_{what}") or getattr(limits, f"write_{what}")):
                raise Refused(
                    Problem.MALFORMED,
                    f"media[{number}].limits.{what} bounds reads and writes together: leave it out, or leave out "
                    f"read_{what} and write_{what}",
                    field=f"media[{number}].limits.{what}",
                )


def sector_size(one: Attachment) -> int:
    return SECTOR if one.sector_size is UNSET else one.sector_size


def with_sectors(spec: Spec, has: Spec) -> Spec:
    """A disk keeps its sectors until others are asked for: what is partitioned has its places by them."""
    had = {one.mid: one.sector_size for one in has.media}
    if spec.media is has.media or all(size is UNSET for size in had.values()):
        return spec
    return structs.replace(
        spec,
        media=[
            structs.replace(one, sector_size=had.get(one.mid, UNSET)) if one.sector_size is UNSET else one
            for one in spec.media
        ],
    )


def sector_warnings(
    spec: Spec, has: Spec | None, media: Sequence[Medium], names: Sequence[str], takes: Callable[[UUID], int]
) -> Iterator[str]:
    """Which disks with something on them get other sectors. `names`: what they may be called; `takes`: see there."""
    had = {one.mid: sector_size(one) for one in has.media} if has is not None else {}
    for one, medium, name in zip(spec.media, media, names, strict=True):
        before, now = had.get(one.mid, SECTOR), sector_size(one)
        if before != now and not is_blank(medium, takes):
            yield (
                f"{name} gets sectors of {now:,} bytes instead of {before:,}: a guest does not find partitions there "
                f"that were made with the others; set its sector_size to {before} to have them back"
            )


def limits_of(one: Attachment) -> DiskLimits:
    """As a hypervisor takes them."""
    if one.limits is UNSET:
        return DiskLimits()
    return DiskLimits(**{name: value for name, value in structs.asdict(one.limits).items() if value is not UNSET})


def what_waits(spec: Spec, run: Spec, facts: HostFacts) -> str:
    """What of the disks of a run cannot become as it is to be; empty: all can."""
    if with_limits(run, spec).media != spec.media:
        return "disks are attached at a start"
    return ""


def limits_to_set(spec: Spec, run: Spec | None) -> dict[int, DiskLimits]:
    """Those that a run has otherwise, by the places of the run's disks. What is detached by now keeps what it has."""
    return {
        place: limits_of(wanted)
        for place, (has, wanted) in enumerate(_pairs(spec, run))
        if limits_of(has) != limits_of(wanted)
    }


def with_limits(run: Spec, spec: Spec) -> Spec:
    """A run whose disks have got those limits."""
    return structs.replace(run, media=[structs.replace(has, limits=wanted.limits) for has, wanted in _pairs(spec, run)])


def _pairs(spec: Spec, run: Spec | None) -> Iterator[tuple[Attachment, Attachment]]:
    """Each disk of a run, and what it is to be: of one that is attached twice, each in its turn."""
    by_turn = dict(_in_turn(spec))
    for key, has in _in_turn(run) if run is not None else ():
        yield has, by_turn.get(key, has)


def _in_turn(spec: Spec) -> Iterator[tuple[tuple[UUID, int], Attachment]]:
    seen: Counter[UUID] = Counter()
    for one in spec.media:
        yield (one.mid, seen[one.mid]), one
        seen[one.mid] += 1
