"""Which media a VM may write to: those of its group, and others that were attached with permission.

The permission is velocity.media.write on the medium's group (contract, route 12). It is checked when the medium is
attached, and at each start, for the user who attached it.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import msgspec

from velocity.access.directory import Directory
from velocity.access.sessions import Caller
from velocity.contract.machines import Attachment
from velocity.contract.permissions import Permission
from velocity.contract.problems import Refused
from velocity.machines.rules import Machine, Spec
from velocity.media.assignments import Assignments
from velocity.media.library import Library
from velocity.media.rules import Medium

BEFORE = -1
"""Instead of a uid: attached by an older version, which checked nothing. It stays writable."""


def attached_by(spec: Spec, mid: UUID) -> int | None:
    """The uid of the user who attached a medium of another group writable; None: nobody with permission."""
    return spec.attached_by.get(mid) if isinstance(spec.attached_by, dict) else BEFORE


class Writers:
    """Decides from memory, as access does."""

    def __init__(self, directory: Directory, library: Library, assignments: Assignments) -> None:
        self._directory = directory
        self._library = library
        self._assignments = assignments

    def attached(self, caller: Caller, gid: int, spec: Spec, has: Spec | None) -> tuple[Spec, list[str]]:
        """The specification with media read-only if the caller may not write to them, and a warning for each.

        `has` is the former specification: what was writable in it stays so.
        """
        media: list[Attachment] = []
        makers: dict[UUID, int] = {}
        warnings: list[str] = []
        for one in spec.media:
            medium = self._library.known(one.mid)
            if medium.gid != gid and not one.readonly:
                stays = has is not None and any(had.mid == one.mid and not had.readonly for had in has.media)
                maker = self._maker(caller, medium, has if stays else None)
                if maker is not None:
                    makers[one.mid] = maker
                elif not stays and not medium.is_iso:  # nobody writes to an ISO, so it stays as requested
                    one = msgspec.structs.replace(one, readonly=True)
                    warnings.append(
                        f"{self._library.visible_name(medium)} belongs to another group and is attached read-only: to "
                        f"attach it writable, you need {Permission.MEDIA_WRITE.value} on that group"
                    )
            media.append(one)
        return msgspec.structs.replace(spec, media=media, attached_by=makers), warnings

    def _maker(self, caller: Caller, medium: Medium, has: Spec | None) -> int | None:
        """Who attaches it writable: the former user if they still may, otherwise the caller if they may."""
        before = None if has is None else attached_by(has, medium.mid)
        if before is not None and self._holds(before, medium):
            return before
        return caller.uid if self._holds(caller.uid, medium) else before

    def never(self, mid: UUID) -> bool:
        """Whether it cannot be written to in any case: read-only media, and ISOs."""
        try:
            medium = self._library.known(mid)
        except Refused:  # it is gone, and only an earlier run still names it
            return True
        return medium.is_iso or medium.readonly

    def may(self, gid: int, mid: UUID, maker: int | None) -> bool:
        """Whether a VM of that group may write to it now, if `maker` has attached it writable."""
        if self.never(mid):
            return False
        medium = self._library.known(mid)
        if self._assignments.readonly(medium):
            return False
        return medium.gid == gid or self._holds(maker, medium)

    def writes(self, gid: int, spec: Spec, mid: UUID) -> bool:
        """Whether a VM of that group with this specification may write to it now, unless it is attached read-only."""
        return self.may(gid, mid, attached_by(spec, mid))

    def written_by(self, gid: int, spec: Spec) -> Iterator[Attachment]:
        """The attachments of media that it may write to now."""
        return (one for one in spec.media if not one.readonly and self.writes(gid, spec, one.mid))

    def lost(self, machine: Machine) -> Iterator[UUID]:
        """Media that are attached writable by users who may no longer write to them."""
        for medium in self._of_others(machine):
            maker = attached_by(machine.spec, medium.mid)
            if maker is not None and not self._holds(maker, medium):
                yield medium.mid

    def unasked(self, machine: Machine) -> Iterator[UUID]:
        """Media that it writes to although no permission was checked: an older version attached them."""
        for medium in self._of_others(machine):
            if attached_by(machine.spec, medium.mid) == BEFORE and self.may(machine.gid, medium.mid, BEFORE):
                yield medium.mid

    def _of_others(self, machine: Machine) -> Iterator[Medium]:
        for one in machine.spec.media:
            medium = self._library.find(one.mid)
            if medium is not None and medium.gid != machine.gid and not one.readonly:
                yield medium

    def _holds(self, maker: int | None, medium: Medium) -> bool:
        if maker is None or maker == BEFORE:
            return maker == BEFORE
        return self._directory.holds(maker, Permission.MEDIA_WRITE, medium.gid)
