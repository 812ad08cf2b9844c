"""The decisions about media: pure functions of immutable values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from uuid import UUID, uuid5

import msgspec
from msgspec import UNSET, Struct

from velocity import sizes
from velocity.contract.media import Content, ResumableUpload
from velocity.contract.revision import revision
from velocity.storage.formats import IMAGES, PACKED, REFUSED
from velocity.storage.port import MediaRef

CALL_DEADLINE = 60.0
"""Deadline in seconds of calls to a pool."""
WRITTEN = 1 << 20
"""Bytes on disk above which a medium does not count as blank, whatever its format needs for itself."""

LIVE = 15.0
"""Seconds after its last bytes during which an upload counts as being sent, while its request is open."""


class Pool(Struct, frozen=True):
    """A pool as the API knows it; only its host knows the path."""

    mpid: int
    name: str


@dataclass(frozen=True)
class Medium:
    """A medium. `size` is in bytes, as declared; `format` says how its bytes are read, and is never guessed.

    `growing`: its file may still be smaller, as a larger size is stored before the file grows.
    """

    mid: UUID
    mpid: int
    gid: int
    name: str
    type: str
    size: int
    readonly: bool
    format: str
    content: Content
    growing: bool = False
    origin: str | None = None
    """The image of the catalogue that it was made from."""

    @cached_property
    def revision(self) -> str:
        return revision(self.name, self.type, self.size, self.readonly, self.format)

    @cached_property
    def ref(self) -> MediaRef:
        return MediaRef(self.mpid, self.mid, self.format)

    @property
    def place(self) -> UUID:
        """Different for each place of its bytes: identifies the task that was to bring them there."""
        return uuid5(self.mid, f"{self.mpid} {self.format}")

    @property
    def is_iso(self) -> bool:
        return self.type.upper() == "ISO"


@dataclass(frozen=True)
class StoredUpload:
    """An upload over several requests, as stored: `received` bytes are durable; times are in Unix seconds."""

    name: str
    mid: UUID
    uid: int
    request: ResumableUpload
    received: int
    begun: int
    heard: int


@dataclass(frozen=True)
class Assignment:
    """What a group may do in a pool. `quota` is in bytes; 0: no limit."""

    quota: int
    write: bool
    manage: bool


EVERYTHING = Assignment(quota=0, write=True, manage=True)
"""The assignment of group 0 in every pool (contract, "Media")."""

Assignments = Mapping[tuple[int, int], Assignment]
"""(gid, mpid) -> the assignment."""


def assigned(assignments: Assignments, line: Sequence[int], mpid: int) -> Assignment | None:
    """What a group may do in a pool; None: it does not see it. `line` is the group and its ancestors.

    An assignment applies to all subgroups, and one further down restricts it. So what a group loses, its subgroups lose
    too. Group 0 has everything itself, but passes nothing on.
    """
    if line[0] == 0:
        return EVERYTHING
    top = line[-2]
    found = assignments.get((top, mpid))
    for gid in reversed(line[:-2]):
        own = assignments.get((gid, mpid))
        if own is not None and found is not None:
            found = _narrowed(found, own)
    return found


def _narrowed(above: Assignment, own: Assignment) -> Assignment:
    quotas = [quota for quota in (above.quota, own.quota) if quota]
    return Assignment(quota=min(quotas, default=0), write=above.write and own.write, manage=above.manage and own.manage)


def more_than(wanted: Assignment, above: Assignment | None, mpid: int) -> str | None:
    """What of an assignment the parent group lacks, in words; None if nothing."""
    if above is None:
        return f"pool {mpid}"
    if wanted.write and not above.write:
        return f"`write` in pool {mpid}"
    if wanted.manage and not above.manage:
        return f"`manage` in pool {mpid}"
    if above.quota and wanted.quota > above.quota:
        return f"more quota than {sizes.size(above.quota)} in pool {mpid}"
    return None


def gained(wanted: Assignment, own: Assignment | None, now: Assignment | None, mpid: int) -> str | None:
    """What of an assignment the group would gain, in words; None if nothing.

    `own` is the group's present assignment, `now` what it may do in the pool.
    """
    if own is not None and own.quota and not 0 < wanted.quota <= own.quota:
        return f"more quota than {sizes.size(own.quota)} in pool {mpid}"
    return more_than(replace(wanted, quota=0), now, mpid)


def boot_warning(medium: Medium, called: str | None = None) -> str | None:
    """A warning for a user who would boot from it here, or None. `called`: its name for the user."""
    called = called or repr(medium.name)
    return _unfit(medium, called) or _boots_not(medium, called)


def written_by_nobody(medium: Medium) -> bool:
    """Whether nobody can write to it, whatever permissions and pools allow."""
    return medium.readonly or medium.is_iso


def is_blank(medium: Medium, takes: Callable[[UUID], int]) -> bool:
    """Whether nothing was written to it, judged by its bytes on disk."""
    return medium.content.format == "blank" and takes(medium.mid) <= WRITTEN


def boot_warnings(media: Sequence[Medium], names: Sequence[str], takes: Callable[[UUID], int]) -> list[str]:
    """The warnings for all media attached to a VM: that one does not boot is said once, and only if no other may.

    `takes`: the bytes that a medium uses on disk. A blank one that uses some was written to, and may boot.
    """
    warnings: list[str] = []
    boots_not: list[str] = []
    may_boot = False
    for medium, called in zip(media, names, strict=True):
        if (unfit := _unfit(medium, called)) is not None:
            warnings.append(unfit)
        elif (why := _boots_not(medium, called)) is not None:
            boots_not.append(why)
        elif medium.content.boots_efi is False:
            boots_not.append(f"{called} does not boot under EFI: none of its partitions has a loader for EFI")
        elif not is_blank(medium, takes):
            may_boot = True
    if boots_not and not may_boot:
        warnings.append(boots_not[0] if len(boots_not) == 1 else f"nothing attached boots: {'; '.join(boots_not)}")
    return warnings


def _unfit(medium: Medium, called: str) -> str | None:
    """Why it cannot be used at all."""
    content = medium.content
    if isinstance(content.volume_size, int) and content.volume_size > medium.size:
        what = "partition table" if content.format in ("gpt", "mbr") else "file system"
        return (
            f"{called} is truncated: its {what} has {content.volume_size} bytes, the medium only "
            f"{medium.size}: upload it again"
        )
    if medium.format == "raw" and (content.format in IMAGES or content.format in PACKED):
        return (
            f"{called} is a {content.format} image stored as raw bytes, and the guest would see these bytes: "
            "import it first (`velocity media import`, PUT /m/media/import)"
        )
    if medium.format == "raw" and content.format in REFUSED:
        return f"{called} is no disk, and the guest would see its bytes: {REFUSED[content.format]}"
    return None


def _boots_not(medium: Medium, called: str) -> str | None:
    """Why it does not boot, for media that look bootable."""
    content = medium.content
    if medium.is_iso and content.format != "iso9660" and content.boots_efi is not True:
        return f"{called} has the type ISO, but contains no ISO 9660 file system ({content.format}): it will not boot"
    if content.format == "iso9660" and content.boots_efi is False:
        return f"{called} does not boot under EFI: use an image made for EFI"
    architectures = content.architectures
    if isinstance(architectures, list) and architectures and "x86_64" not in architectures:
        return f"{called} boots on {', '.join(architectures)} only, not on x86_64"
    return None


def described(medium: Medium, content: Content) -> Medium:
    medium = replace(medium, content=msgspec.structs.replace(content, warning=UNSET))
    warning = boot_warning(medium)
    return replace(medium, content=msgspec.structs.replace(content, warning=warning)) if warning else medium


def boots(medium: Medium, takes: Callable[[UUID], int]) -> bool | None:
    """Whether a VM can boot from it here; None: unknown."""
    if boot_warning(medium) is not None or medium.content.boots_efi is False or is_blank(medium, takes):
        return False
    return True if medium.content.boots_efi is True else None


def grows_not(medium: Medium) -> str | None:
    """Why it cannot grow, in words; None if it can."""
    kind = medium.content.format
    if medium.is_iso or kind == "iso9660":
        return "it is an ISO image, which nothing can be added to"
    if medium.format == "raw" and (kind in IMAGES or kind in PACKED or kind in REFUSED):
        return f"it is a {kind} file, not a disk: import it, and let the disk grow"
    return None
