"""Media that are read from the request to its end, and written to by nobody meanwhile.

A task ends by itself, and a start of a VM is refused as long as it reads. A download takes as long as its client likes:
so that it keeps no VM from starting, a start ends it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from uuid import UUID

from velocity.access.lasting import Check
from velocity.contract.problems import Problem, Refused
from velocity.media.attachments import Attachments
from velocity.media.library import Library
from velocity.media.rules import Medium
from velocity.media.states import PoolStates


class Download:
    """One that is under way."""

    def __init__(self, medium: Medium) -> None:
        self._medium = medium
        self.overtaken = False

    def check(self) -> None:
        if self.overtaken:
            raise Refused(
                Problem.MEDIUM_IN_USE,
                f"a VM that writes to {self._medium.name!r} was started: download it again when that VM has stopped",
            )


class Sources:
    """Who reads, and who writes: never both. Starts of VMs ask too, in the step in which they begin."""

    def __init__(self, library: Library, attachments: Attachments, states: PoolStates) -> None:
        self._library = library
        self._attachments = attachments
        self._states = states
        self._readers: Counter[UUID] = Counter()
        self._downloads: dict[UUID, set[Download]] = {}

    @contextmanager
    def reading(self, medium: Medium) -> Iterator[None]:
        """A task reads it within, on also when it is deleted. Raises `Refused(MEDIUM_IN_USE)`."""
        self.check_unwritten(medium)
        self._states.check_declared(medium)
        self._readers[medium.mid] += 1
        try:
            yield
        finally:
            self._readers[medium.mid] -= 1
            self._readers += Counter()  # without those that nobody reads

    @contextmanager
    def downloading(self, medium: Medium) -> Iterator[Check]:
        """A client reads it within, as long as what is yielded does not refuse: to be asked about each piece that was
        read, before it is sent. Raises `Refused(MEDIUM_IN_USE)`.
        """
        self.check_unwritten(medium)
        self._states.check_declared(medium)
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
        """A VM starts that may write to these: what has been downloaded of them ends here."""
        for mid in media:
            for download in self._downloads.get(mid, ()):
                download.overtaken = True

    def check_unwritten(self, medium: Medium) -> None:
        """Raises `Refused(MEDIUM_IN_USE)` while a VM may write to it."""
        writer = next((holder for holder in self._attachments.attached_vms(medium.mid) if holder.writing), None)
        if writer is not None:
            vm, mine = self._attachments.visible_name(writer), self._library.visible_name(medium)
            raise Refused(Problem.MEDIUM_IN_USE, f"{vm} is writing to {mine}: stop it first", field="mid")

    def check_unused(self, mid: UUID, vmid: int) -> None:
        """Raises `Refused(MEDIUM_IN_USE)` while a task reads it, or another VM than this one writes to it."""
        holders = self._attachments.attached_vms(mid)
        writer = next((one for one in holders if one.writing and one.vmid != vmid), None)
        mine = self._library.visible_name(self._library.get(mid))
        if writer is not None:
            raise Refused(
                Problem.MEDIUM_IN_USE,
                f"{self._attachments.visible_name(writer)} is writing to {mine}: stop it first, or attach the medium "
                "with `readonly` to one of the two",
            )
        if self._readers[mid]:
            raise Refused(
                Problem.MEDIUM_IN_USE,
                f"{mine} is being cloned or imported: wait until that task has ended, or cancel it",
            )
