"""Copies the bytes of a medium into another file: by storage alone, or while a VM runs with it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from velocity.access.lasting import WhileAllowed
from velocity.contract.problems import OutcomeUnknown
from velocity.media.rules import CALL_DEADLINE, Medium
from velocity.storage.port import Belongs, Blobs, Clone, JobProgress, Jobs, Trash
from velocity.tasks.service import TaskProgress
from velocity.uninterrupted import whole


@dataclass(frozen=True)
class Change:
    """A medium before and after a move or conversion; `kind` is the task's."""

    kind: str
    old: Medium
    new: Medium

    @property
    def moves(self) -> bool:
        """Whether its file gets another name."""
        return self.old.ref != self.new.ref

    @property
    def is_compact(self) -> bool:
        return self.kind == "compact"


Keep = Callable[[], Coroutine[Any, Any, None]]
"""Commits the change, and shows it. Raises `Refused`."""
Measure = Callable[[], Coroutine[Any, Any, object]]
"""Measures the space of the new file."""
Take = Callable[[Keep], Coroutine[Any, Any, None]]
"""Commits while the guest's writes are held back, and lets its VM continue with the file that the medium then has.

It waits for a host that does not respond. If it is cancelled meanwhile, nothing was committed; a commit that has begun
is completed. Raises `Refused`: nothing was committed, or the VM could not continue with the new file.
"""


class CopiesInRuns(Protocol):
    """What is needed of the VMs."""

    def check(self, medium: Medium, mpid: int) -> None:
        """Raises `Refused` if the VM that writes to it could not continue with another file in that pool now."""

    def copying(self, change: Change, progress: TaskProgress) -> AbstractAsyncContextManager[Take]:
        """The body begins when both files are equal; at its end the VM continues with the one that the medium has."""


class Copying(Protocol):
    """One way to copy."""

    async def prepare(self) -> int:
        """Prepare it; returns the bytes of the target's pool that it needs. Raises `Refused`."""

    async def carry_out(self, progress: TaskProgress, right: WhileAllowed, keep: Keep) -> None:
        """If it fails before the commit, the medium is unchanged, and nothing of the new file is left."""

    async def close(self) -> None: ...


class FileCopying:
    """Copies a medium that no VM runs with."""

    def __init__(self, change: Change, jobs: Jobs, trash: Trash, measure: Measure) -> None:
        """`measure` is called when the new file is in its place."""
        self._change = change
        self._measure = measure
        self._jobs = jobs
        self._trash = trash

    async def prepare(self) -> int:
        old, new = self._change.old, self._change.new
        prepared = await self._jobs.prepare(
            Clone(old.ref, new.ref, compact=self._change.is_compact), deadline=CALL_DEADLINE
        )
        return prepared.takes

    async def carry_out(self, progress: TaskProgress, right: WhileAllowed, keep: Keep) -> None:
        target = self._change.new.ref
        await self._jobs.start(target, self._change.new.size, deadline=CALL_DEADLINE)
        async for now in self._jobs.watch(target):
            if isinstance(now, JobProgress):  # what is made is checked before its commit
                right.check()
                progress.total, progress.done = now.total, now.done
        await committed(self._change, self._trash, lambda: whole(keep()), self._measure)

    async def close(self) -> None:
        await self._jobs.cancel(self._change.new.ref, deadline=CALL_DEADLINE)


class LiveCopying:
    """Copies a medium that a VM writes to."""

    def __init__(self, change: Change, blobs: Blobs, trash: Trash, in_runs: CopiesInRuns, measure: Measure) -> None:
        self._change = change
        self._measure = measure
        self._blobs = blobs
        self._trash = trash
        self._in_runs = in_runs

    async def prepare(self) -> int:
        old = self._change.old
        (stat,) = await self._blobs.stat(old.mpid, (old.ref,), deadline=CALL_DEADLINE)
        return stat.allocated if stat else old.size

    async def carry_out(self, progress: TaskProgress, right: WhileAllowed, keep: Keep) -> None:
        new, kept = self._change.new, False
        await self._blobs.create(new.ref, new.size, deadline=CALL_DEADLINE)
        try:
            async with self._in_runs.copying(self._change, progress) as take:
                right.check()
                await self._commit(take, keep)
                kept = True
        except OutcomeUnknown:
            raise
        except BaseException:
            if not kept:
                await whole(self._trash.settle(new.ref, Belongs.NOWHERE, deadline=CALL_DEADLINE))
            raise

    async def _commit(self, take: Take, keep: Keep) -> None:
        async def keep_name() -> None:
            """The new file gets the name of the old one, which is then gone."""
            await keep()
            await self._trash.settle(self._change.new.ref, Belongs.KEPT, deadline=CALL_DEADLINE)

        if self._change.moves:
            await committed(self._change, self._trash, lambda: take(keep), self._measure)
        else:
            await take(keep_name)
            await whole(self._measure())

    async def close(self) -> None:
        """Release everything."""


async def committed(change: Change, trash: Trash, keep: Keep, measure: Measure) -> None:
    """Commit it: the new bytes count, or nothing of them is left. Cancelled before the commit, it leaves nothing.

    `keep` must not be left half-way if it is cancelled.
    """
    try:
        if change.moves:
            await trash.lift(change.old.ref, deadline=CALL_DEADLINE)  # may wait for its host
        await keep()
    except OutcomeUnknown:
        raise  # the next start asks the database
    except BaseException:
        await whole(_settle(change, trash, Belongs.KEPT, Belongs.NOWHERE))
        raise
    await whole(_settle(change, trash, Belongs.NOWHERE, Belongs.KEPT))
    await whole(measure())


async def _settle(change: Change, trash: Trash, old: Belongs, new: Belongs) -> None:
    await trash.settle(change.new.ref, new, deadline=CALL_DEADLINE)
    if change.moves:
        await trash.settle(change.old.ref, old, deadline=CALL_DEADLINE)
