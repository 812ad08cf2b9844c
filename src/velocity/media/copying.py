"""Copying the bytes of a medium into another file: by storage alone, or while a VM runs with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from velocity.access.lasting import WhileAllowed
from velocity.contract.problems import OutcomeUnknown
from velocity.media.rules import CALL_DEADLINE, Medium
from velocity.storage.port import Belongs, Blobs, Clone, JobProgress, Jobs, Trash
from velocity.tasks.service import TaskProgress
from velocity.uninterrupted import whole


@dataclass(frozen=True)
class Change:
    """From one medium to the same at another place, or in another file; `kind` is its task's."""

    kind: str
    old: Medium
    new: Medium

    @property
    def moves(self) -> bool:
        """Its file gets another name."""
        return self.old.ref != self.new.ref

    @property
    def is_compact(self) -> bool:
        return self.kind == "compact"


Keep = Callable[[], Awaitable[None]]
"""Commits what a medium is then, and shows it. Raises `Refused`."""
Measure = Callable[[], Awaitable[object]]
"""Looks at what the new file takes."""
Take = Callable[[Keep], Awaitable[None]]
"""Commits while what the guest writes is held back, and has its VM go on with the file that the medium has then.

Raises `Refused`: nothing is committed, or the VM could not take the new file.
"""


class CopiesInRuns(Protocol):
    """What is asked of the machines."""

    def check(self, medium: Medium, mpid: int) -> None:
        """Raises `Refused` where the VM that writes to it could not go on with another file in that pool now."""

    def copying(self, change: Change, progress: TaskProgress) -> AbstractAsyncContextManager[Take]:
        """Entered when both files are the same; at its end the VM goes on with the one that the medium has."""


class Copying(Protocol):
    """One way."""

    async def prepare(self) -> int:
        """Look at it; the bytes of the target's pool that it will take. Raises `Refused`."""

    async def carry_out(self, progress: TaskProgress, right: WhileAllowed, keep: Keep) -> None:
        """Whatever goes wrong before the commit, the medium is as it was, and nothing of the new file remains."""

    async def close(self) -> None: ...


class FileCopying:
    """Of a medium that no VM runs with."""

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
            right.check()
            if isinstance(now, JobProgress):
                progress.total, progress.done = now.total, now.done
        await whole(committed(self._change, self._trash, keep, self._measure))

    async def close(self) -> None:
        await self._jobs.cancel(self._change.new.ref, deadline=CALL_DEADLINE)


class LiveCopying:
    """Of one that a VM writes to."""

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
                await whole(self._commit(take, keep))
                kept = True
        except OutcomeUnknown:
            raise
        except BaseException:
            if not kept:
                await whole(self._trash.settle(new.ref, Belongs.NOWHERE, deadline=CALL_DEADLINE))
            raise

    async def _commit(self, take: Take, keep: Keep) -> None:
        async def keep_name() -> None:
            """The new file gets the name of the old one, which is gone then."""
            await keep()
            await self._trash.settle(self._change.new.ref, Belongs.KEPT, deadline=CALL_DEADLINE)

        if self._change.moves:
            await committed(self._change, self._trash, lambda: take(keep), self._measure)
        else:
            await take(keep_name)
            await self._measure()

    async def close(self) -> None:
        """Nothing is left by what has ended."""


async def committed(change: Change, trash: Trash, keep: Keep, measure: Measure) -> None:
    """From here on the new bytes count, or nothing of them remains."""
    old, new = change.old, change.new
    try:
        if change.moves:
            await trash.lift(old.ref, deadline=CALL_DEADLINE)
        await keep()
    except OutcomeUnknown:
        raise  # the next start asks the database
    except BaseException:
        if change.moves:
            await trash.settle(old.ref, Belongs.KEPT, deadline=CALL_DEADLINE)
        await trash.settle(new.ref, Belongs.NOWHERE, deadline=CALL_DEADLINE)
        raise
    await trash.settle(new.ref, Belongs.KEPT, deadline=CALL_DEADLINE)
    if change.moves:
        await trash.settle(old.ref, Belongs.NOWHERE, deadline=CALL_DEADLINE)
    await measure()
