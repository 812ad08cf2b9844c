"""Media that are being read, to which nobody may write meanwhile; and media that are being changed.

Tasks end by themselves, so VMs that would write wait for them. A download may take arbitrarily long, so the start of a
VM ends it. docs/sharing.md has every combination.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Literal
from uuid import UUID

from velocity.access.lasting import Check
from velocity.contract.problems import Problem, Refused
from velocity.media.attachments import AttachedVm, Attachments
from velocity.media.library import Library
from velocity.media.rules import Medium
from velocity.media.states import PoolStates

Does = Literal["being changed", "being moved", "being converted", "being compacted"]


class Download:
    """One download."""

    def __init__(self, medium: Medium) -> None:
        self._medium = medium
        self.overtaken = ""
        """What ended it, in words."""

    def check(self) -> None:
        if self.overtaken:
            raise Refused(Problem.MEDIUM_IN_USE, self.overtaken.format(repr(self._medium.name)))


class Sources:
    """Keeps readers and writers of media apart; starts of VMs ask in the step in which they begin."""

    def __init__(self, library: Library, attachments: Attachments, states: PoolStates) -> None:
        self._library = library
        self._attachments = attachments
        self._states = states
        self._readers: dict[UUID, list[tuple[str, Medium]]] = {}
        """The tasks that read each medium: what they do, in words, and what they make."""
        self._downloads: dict[UUID, set[Download]] = {}
        self._changes: dict[UUID, tuple[Does, bool]] = {}
        """What is being done with each medium, and whether VMs must not use it meanwhile."""

    @contextmanager
    def changing(self, medium: Medium, does: Does, *, alone: bool) -> Iterator[None]:
        """Within, nobody else changes or deletes it and, with `alone`, no VM starts with it.

        Raises `Refused(MEDIUM_IN_USE)`, with `alone` also while a VM runs with it or a task reads it. A medium that is
        being changed cannot be read; one that is moved or converted can, as its bytes stay until that is done.
        """
        self.check_unchanged(medium)
        if alone:
            self._check_unused(medium)
        self._changes[medium.mid] = does, alone
        try:
            yield
        finally:
            del self._changes[medium.mid]

    def change_of(self, mid: UUID) -> str | None:
        """What is being done with a medium, in words."""
        found = self._changes.get(mid)
        return found and found[0]

    def check_unchanged(self, medium: Medium) -> None:
        """Raises `Refused(MEDIUM_IN_USE)` while it is changed, moved or converted."""
        if (does := self.change_of(medium.mid)) is not None:
            mine = self._library.visible_name(medium)
            cure = "try again" if does == "being changed" else "cancel that task (`velocity task list`)"
            raise Refused(Problem.MEDIUM_IN_USE, f"{mine} is {does}: wait until that has ended, or {cure}", field="mid")

    def _check_readable(self, medium: Medium) -> None:
        self.check_unwritten(medium)
        self._states.check_declared(medium)
        if self._changes.get(medium.mid) == ("being changed", True):
            self.check_unchanged(medium)

    def _check_unused(self, medium: Medium) -> None:
        mine = self._library.visible_name(medium)
        for holder in self._attachments.attached_vms(medium.mid):
            if holder.writing or holder.reading:
                vm = self._attachments.visible_name(holder)
                raise Refused(Problem.MEDIUM_IN_USE, f"{vm} runs with {mine}: stop it first", field="mid")
        self._check_unread(medium.mid, mine)

    def _check_unread(self, mid: UUID, mine: str) -> None:
        for does, made in self._readers.get(mid, ()):
            raise Refused(
                Problem.MEDIUM_IN_USE,
                f"{mine} is being {does} {self._library.visible_name(made)}: wait until that task has ended, or cancel "
                "it (`velocity task list`)",
            )

    @contextmanager
    def reading(self, medium: Medium, does: Literal["cloned to", "imported as"], made: Medium) -> Iterator[None]:
        """Within, a task reads it, even if it is deleted meanwhile. Raises `Refused(MEDIUM_IN_USE)`."""
        self._check_readable(medium)
        reader = does, made
        readers = self._readers.setdefault(medium.mid, [])
        readers.append(reader)
        try:
            yield
        finally:
            readers.remove(reader)
            if not readers:
                del self._readers[medium.mid]

    @contextmanager
    def downloading(self, medium: Medium) -> Iterator[Check]:
        """Within, a client reads it. Call the yielded check for each piece before it is sent: it raises once a VM may
        write.

        Raises `Refused(MEDIUM_IN_USE)`.
        """
        self._check_readable(medium)
        download = Download(medium)
        downloads = self._downloads.setdefault(medium.mid, set())
        downloads.add(download)
        try:
            yield download.check
        finally:
            downloads.remove(download)
            if not downloads:
                del self._downloads[medium.mid]

    def begin_writing(self, media: Collection[UUID]) -> None:
        """A VM that may write to these starts: end their downloads."""
        self.end_downloads(media, "a VM that writes to {} was started: download it again when that VM has stopped")

    def end_downloads(self, media: Collection[UUID], words: str) -> None:
        """End downloads of these; `words` say why, with a placeholder for the name."""
        for mid in media:
            for download in self._downloads.get(mid, ()):
                download.overtaken = words

    def check_unwritten(self, medium: Medium) -> None:
        """Raises `Refused(MEDIUM_IN_USE)` while a VM may write to it."""
        writer = next((holder for holder in self._attachments.attached_vms(medium.mid) if holder.writing), None)
        if writer is not None:
            vm, mine = self._attachments.visible_name(writer), self._library.visible_name(medium)
            raise Refused(Problem.MEDIUM_IN_USE, f"{vm} is writing to {mine}: stop it first", field="mid")

    def check_startable(self, mid: UUID, vmid: int, *, writes: bool | None) -> None:
        """Raises `Refused(MEDIUM_IN_USE)` unless this VM may run with it: nobody writes to what another one reads.

        `writes`: whether it would write; None: nobody can write to it.
        """
        medium = self._library.get(mid)
        if self._changes.get(mid, ("", False))[1]:
            self.check_unchanged(medium)
        if writes is None:
            return
        mine = self._library.visible_name(medium)
        for other in self._others(mid, vmid):
            if other.writing or (writes and other.reading):
                does = "is writing to" if other.writing else "is reading"
                raise Refused(
                    Problem.MEDIUM_IN_USE,
                    f"{self._attachments.visible_name(other)} {does} {mine}: stop it first, or clone the medium for "
                    "one of the two",
                )
        if writes:
            self._check_unread(mid, mine)

    def sharing(self, mid: UUID, vmid: int | None, *, writes: bool) -> str | None:
        """A warning for the user who attaches it: with which VM this one cannot run at the same time."""
        others = [one for one in self._others(mid, vmid) if writes or one.writable]
        if not others:
            return None
        mine, vm = self._attachments.medium_name(mid), self._attachments.visible_name(others[0])
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        how, other = ("writable", "read-only") if writes else ("read-only", "writable")
        return (
            f"{mine} is attached {how} here and {other} to {vm}{more}: they cannot run at the same time, as nobody may "
            "read what another one writes; clone it for one of the two"
        )

    def _others(self, mid: UUID, vmid: int | None) -> list[AttachedVm]:
        return [one for one in self._attachments.attached_vms(mid) if vmid is None or one.vmid != vmid]
