"""Media that are read by tasks, from the request to the task's end, and written to by nobody meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from velocity.contract.problems import Problem, Refused
from velocity.media.attachments import Attachments
from velocity.media.library import Library
from velocity.media.rules import Medium
from velocity.media.states import PoolStates


class Sources:
    """Who reads, and who writes: never both. Starts of VMs ask too, in the step in which they begin."""

    def __init__(self, library: Library, attachments: Attachments, states: PoolStates) -> None:
        self._library = library
        self._attachments = attachments
        self._states = states
        self._readers: Counter[UUID] = Counter()

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
