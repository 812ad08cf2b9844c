"""All media and their groups, in memory."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from velocity.access.directory import Directory
from velocity.access.naming import hide, is_for_everybody, visible_name
from velocity.access.sessions import Caller
from velocity.changes import Changes
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem, Refused
from velocity.media.rules import Medium


class Library:
    """The media of all hosts. They are committed; what was removed can no longer be attached."""

    def __init__(self, directory: Directory, changes: Changes) -> None:
        self._directory = directory
        self._changes = changes
        self._media: dict[UUID, Medium] = {}
        self.returning: dict[UUID, Medium] = {}
        """Media that are being restored from the trash."""

    def get(self, mid: UUID) -> Medium:
        try:
            return self._media[mid]
        except KeyError:
            raise Refused(Problem.MEDIUM_NOT_FOUND, f"there is no medium {mid}", field="mid") from None

    def known(self, mid: UUID) -> Medium:
        """A medium, also one that is being restored."""
        return self.returning.get(mid) or self.get(mid)

    def find(self, mid: object) -> Medium | None:
        return self._media.get(mid) if isinstance(mid, UUID) else None

    def made(self, uuid: UUID) -> UUID | None:
        """The medium that a task was to create, or to bring to a `Medium.place`; None if it does not exist."""
        return next((one.mid for one in self._media.values() if uuid in (one.mid, one.place)), None)

    def all(self) -> list[Medium]:
        return list(self._media.values())

    def of_group(self, gid: int) -> list[Medium]:
        """By name."""
        self._directory.group(gid)
        return sorted(self.of_groups({gid}), key=lambda one: one.name)

    def of_groups(self, gids: Collection[int]) -> list[Medium]:
        return [medium for medium in self._media.values() if medium.gid in gids]

    def shared_with(self, gid: int) -> list[Medium]:
        """The ISOs of the group's ancestors, by name; those who list the group's media see them. Raises `Refused`."""
        self._directory.group(gid)
        above = {one for one in self._directory.line(gid) if one != gid}
        return sorted((one for one in self.of_groups(above) if one.is_iso), key=lambda one: one.name)

    def visible(self, caller: Caller, gid: int, mid: UUID, *, field: str = "media") -> Medium:
        """The medium, if the group may attach it: its own, an ancestor's, or one that the caller may list."""
        medium = self._media.get(mid)
        if medium is not None and self.is_visible(caller, gid, medium):
            return medium
        there = self._directory.called(caller.uid, gid)
        raise Refused(Problem.MEDIUM_NOT_FOUND, f"there is no medium {mid} that {there} may attach", field=field)

    def is_visible(self, caller: Caller, gid: int, medium: Medium) -> bool:
        """The same, also for a deleted medium."""
        directory = self._directory
        return medium.gid in directory.line(gid) or directory.holds(caller.uid, Permission.MEDIA_LIST, medium.gid)

    def visible_name(self, medium: Medium) -> str:
        """Its name for the caller, for messages; for everybody its id, which the settings of a VM show."""
        if is_for_everybody():
            return hide(f"medium {medium.mid}", f"medium {medium.name!r}")
        return visible_name(self._directory, "medium", medium.name, medium.gid)

    # Changing

    def add(self, medium: Medium) -> None:
        """Show a medium (again)."""
        self._media[medium.mid] = medium
        self.touched(medium.mid)

    def remove(self, medium: Medium) -> None:
        """Show a medium no more."""
        del self._media[medium.mid]
        self._changes.note_change("medium", medium.mid, medium.gid)

    def touched(self, mid: UUID) -> None:
        """Announce that what is shown of a medium has changed."""
        if mid in self._media:
            self._changes.note_change("medium", mid, self._media[mid].gid)
