"""The settings of a VM's disks: pure functions of specifications."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

from msgspec import UNSET, structs

from velocity.contract.machines import Attachment, EmptyDrive, MediaMode
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.port import SECTOR, DiskLimits, HostFacts
from velocity.hypervisor.waits import FULL, WHEN_ATTACHED
from velocity.machines.rules import Spec
from velocity.media.rules import Medium, is_blank

FIXED = "a BLOCK disk that was attached at the start cannot be removed while the VM runs"
NEWER = "needs hardware 2, from the next start on: `velocity vm set VM --hardware latest`"


def with_drives(spec: Spec, has: Spec, iso: Callable[[UUID], bool]) -> Spec:
    """Put an added ISO into an empty drive of the same mode, unless a removed ISO leaves one."""
    modes = {mode.value for mode in (MediaMode.USB, MediaMode.VIRTIO)}
    now, before = ([one.mode for one in each.media if one.mode in modes and iso(one.mid)] for each in (spec, has))
    added = Counter(now) - Counter(before)
    left = []
    for one in spec.drives:
        if added[one.mode]:
            added[one.mode] -= 1
        else:
            left.append(one)
    return structs.replace(spec, drives=left)


def check(spec: Spec, media: Sequence[Medium]) -> None:
    """Refuse sector sizes of CD-ROMs, and contradictory limits. `media` are the attached media."""
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
                    f"media[{number}].limits.{what} limits reads and writes together: leave it out, or leave out "
                    f"read_{what} and write_{what}",
                    field=f"media[{number}].limits.{what}",
                )


def sector_size(one: Attachment) -> int:
    return SECTOR if one.sector_size is UNSET else one.sector_size


def with_sectors(spec: Spec, has: Spec) -> Spec:
    """Keep the sector sizes of disks unless others are requested: partition tables depend on them."""
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
    """Warnings for disks with content that get other sector sizes. `names`: the media's; `takes`: see `Builder`."""
    had = {one.mid: sector_size(one) for one in has.media} if has is not None else {}
    for one, medium, name in zip(spec.media, media, names, strict=True):
        before, now = had.get(one.mid, SECTOR), sector_size(one)
        if before != now and not is_blank(medium, takes):
            yield (
                f"{name} gets sectors of {now:,} bytes instead of {before:,}: a guest cannot read partitions "
                f"that were created with the former size; set its sector_size to {before} to read them again"
            )


def limits_of(one: Attachment) -> DiskLimits:
    """The limits, for the hypervisor."""
    if one.limits is UNSET:
        return DiskLimits()
    return DiskLimits(**{name: value for name, value in structs.asdict(one.limits).items() if value is not UNSET})


def what_waits(spec: Spec, run: Spec, facts: HostFacts) -> str:
    """Why disks of a run cannot be changed as requested; empty if they can."""
    has, wanted = dict(_in_turn(run)), dict(_in_turn(spec))
    stay = {key for key, one in wanted.items() if key in has and has[key].mode == one.mode}
    whys = [_why_not_added(one, run, facts) for key, one in wanted.items() if key not in stay]
    whys += [_why_not_removed(one, run) for key, one in has.items() if key not in stay]
    stays = [(has[key], one) for key, one in wanted.items() if key in stay]
    whys += [FULL] if has_ports(run, facts) and _blocks_coming(spec, run) > free_ports(spec, run, facts) else []
    whys += [WHEN_ATTACHED for before, one in stays if structs.replace(before, limits=one.limits, boot=one.boot) != one]
    return "; ".join(dict.fromkeys(why for why in whys if why))


def what_drives_wait(spec: Spec, run: Spec, facts: HostFacts) -> str:
    """The same for empty drives."""
    return "; ".join(dict.fromkeys(why for one in spec.drives if (why := _why_not_added(one, run, facts))))


def has_ports(run: Spec, facts: HostFacts) -> bool:
    """Whether its hardware has spare ports for devices that are added while it runs."""
    return any(profile.spare_ports for profile in facts.hardware if profile.name == run.hardware)


def _why_not_added(one: Attachment | EmptyDrive, run: Spec, facts: HostFacts) -> str:
    """USB and SCSI disks use an existing controller, or a PCI port for a new one; each BLOCK disk needs a port."""
    spare = has_ports(run, facts)
    shared = one.mode != MediaMode.BLOCK.value and one.mode in {
        *(has.mode for has in run.media),
        *(has.mode for has in run.drives),
    }
    return "" if spare or shared else NEWER


def _blocks_coming(spec: Spec, run: Spec) -> int:
    has = {one.mid for one in run.media if one.mode == MediaMode.BLOCK.value}
    return len({one.mid for one in spec.media if one.mode == MediaMode.BLOCK.value} - has)


def free_ports(spec: Spec, run: Spec, facts: HostFacts) -> int:
    """PCI ports that are free for added devices, at most: controllers may need some, too."""
    ports = next((one.spare_ports for one in facts.hardware if one.name == run.hardware), 0)
    blocks = {one.mid for one in spec.media if one.mode == MediaMode.BLOCK.value} & {*run.plugged}
    nics = {one.id for one in spec.interfaces} & {one.id for one in run.interfaces if one.id > run.last_nic}
    return ports - len(blocks) - len(nics)


def ports_for_nics(spec: Spec, run: Spec, facts: HostFacts) -> int:
    """The ports that disks, which come first, leave for NICs."""
    return max(0, free_ports(spec, run, facts) - _blocks_coming(spec, run))


def _why_not_removed(one: Attachment, run: Spec) -> str:
    return FIXED if one.mode == MediaMode.BLOCK.value and one.mid not in run.plugged else ""


def limits_to_set(spec: Spec, run: Spec | None) -> dict[int, DiskLimits]:
    """Limits that differ from the run's, by the index of its disks. Detached disks keep theirs."""
    return {
        place: limits_of(wanted)
        for place, (has, wanted) in enumerate(_pairs(spec, run))
        if limits_of(has) != limits_of(wanted)
    }


def _pairs(spec: Spec, run: Spec | None) -> Iterator[tuple[Attachment, Attachment]]:
    """Each disk of a run, with its future attachment; those of a medium attached twice are matched in order."""
    by_turn = dict(_in_turn(spec))
    for key, has in _in_turn(run) if run is not None else ():
        yield has, by_turn.get(key, has)


def _in_turn(spec: Spec) -> Iterator[tuple[tuple[UUID, int], Attachment]]:
    seen: Counter[UUID] = Counter()
    for one in spec.media:
        yield (one.mid, seen[one.mid]), one
        seen[one.mid] += 1
