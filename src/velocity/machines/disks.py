"""What is set of a VM's disks: pure functions over specifications."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from uuid import UUID

from msgspec import UNSET, structs

from velocity.contract.machines import Attachment
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.port import DiskLimits
from velocity.machines.rules import Spec


def check(spec: Spec) -> None:
    """Refuse limits that say the same twice."""
    for number, one in enumerate(spec.media):
        limits = limits_of(one)
        for what in ("iops", "bytes"):
            if getattr(limits, what) and (getattr(limits, f"read_{what}") or getattr(limits, f"write_{what}")):
                raise Refused(
                    Problem.MALFORMED,
                    f"media[{number}].limits.{what} bounds reads and writes together: leave it out, or leave out "
                    f"read_{what} and write_{what}",
                    field=f"media[{number}].limits.{what}",
                )


def limits_of(one: Attachment) -> DiskLimits:
    """As a hypervisor takes them."""
    if one.limits is UNSET:
        return DiskLimits()
    return DiskLimits(**{name: value for name, value in structs.asdict(one.limits).items() if value is not UNSET})


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
