"""The use cases of tasks: begin, watch, cancel. Progress is in memory; beginning and end are stored."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from uuid import UUID

from velocity import plan
from velocity.access.bounds import BOUNDS, check_own
from velocity.access.directory import Directory
from velocity.access.group_work import GroupWork
from velocity.access.sessions import Caller
from velocity.changes import Changes
from velocity.contract.problems import Problem, Refused
from velocity.contract.tasks import TaskState
from velocity.steady_clock import SteadyClock
from velocity.storage.patience import waiting
from velocity.tasks.port import TaskStore
from velocity.tasks.rules import KEPT, Task, interrupted

log = logging.getLogger(__name__)

AGAIN = 5.0
"""Seconds until the next attempt to store the end of a task."""


class NotWholly(Exception):
    """Part of the work failed. The progress says what failed and why."""


class TaskProgress:
    """The progress of a task, which its work sets. Each step calls `changed`.

    `done_bytes` and `total_bytes` are for units other than bytes, and are set before `done`. `said` makes the message
    for the end, however it ends; `phase` says what is being done now, if there are several phases, and `waits` which
    host it waits for.
    """

    def __init__(self, changed: Callable[[], None], tid: int = 0) -> None:
        self._changed = changed
        self.tid = tid
        self.done_bytes: int | None = None
        self.total_bytes: int | None = None
        self.said: Callable[[], str] | None = None
        self.phase = ""
        self.waits = ""
        self._done = 0
        self._total = 0

    @property
    def done(self) -> int:
        return self._done

    @done.setter
    def done(self, done: int) -> None:
        self._done = done
        self._changed()

    def wait(self, words: str) -> None:
        """It waits; empty: no longer."""
        if words != self.waits:
            self.waits = words
            self._changed()

    @property
    def total(self) -> int:
        return self._total

    @total.setter
    def total(self, total: int) -> None:
        self._total = total
        self._changed()


Made = UUID | int | None
"""What a task made: the mid of a medium, or the vmid of a VM."""
Work = Callable[[TaskProgress], Awaitable[Made]]
"""Does the work, reports progress, and returns what it made. If it fails or is cancelled, it leaves nothing behind."""


async def _nothing() -> None:
    """The preparation of a task that needs none."""


class Tasks:
    """The tasks of this server."""

    def __init__(
        self,
        store: TaskStore,
        directory: Directory,
        changes: Changes,
        steady: SteadyClock,
        clock: Callable[[], float] = time.time,
        own: int = BOUNDS.user_tasks,
    ) -> None:
        """`own`: how many tasks a user may run at a time."""
        self._own = own
        self._store = store
        self._directory = directory
        self._changes = changes
        self.steady = steady
        self._clock = clock
        self._tasks: dict[int, Task] = {}
        self._progress: dict[int, TaskProgress] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._beginning: Counter[int] = Counter()
        self._beginning_in = GroupWork()
        self._frees: dict[int, Callable[[], None]] = {}
        self._ending: set[int] = set()
        """Cancelled tasks, and those whose work is done: their remaining steps are not interrupted."""
        self._background: set[asyncio.Task[None]] = set()
        """Writes of ends that are shown already."""
        self._closing = False

    async def open(self, made: Callable[[UUID], Made]) -> None:
        """Load all tasks. Those that were running have failed, unless their result exists (`made`)."""
        for task in self._store.load():
            if task.state is TaskState.RUNNING:
                if task.mid is not None and (found := made(task.mid)) is not None:
                    # the server ended between the result and its record
                    task = replace(_with(task, found), state=TaskState.DONE, ended=int(self._clock()))
                else:
                    task = replace(task, state=TaskState.FAILED, ended=int(self._clock()), mid=None)
                    task = replace(task, message=interrupted(task.kind))
                await self._store.end(task)
            self._tasks[task.tid] = task

    async def close(self) -> None:
        """Cancel the running tasks: they have failed, and leave nothing behind."""
        self._closing = True
        for running in self._running.values():
            running.cancel()
        if self._running:
            await asyncio.wait(self._running.values())
        for writing in self._background:
            writing.cancel()
        if self._background:
            await asyncio.wait(self._background)

    async def settle(self) -> None:
        """Returns when no task is running."""
        while self._running:
            await asyncio.wait(self._running.values())

    # Reading

    def get(self, tid: int) -> Task:
        if tid not in self._tasks:
            raise Refused(Problem.TASK_NOT_FOUND, f"there is no task {tid}", field="tid")
        task = self._tasks[tid]
        progress = self._progress.get(tid)
        if progress is None:
            return task
        task = replace(task, done=progress.done, total=progress.total)
        return replace(
            task,
            done_bytes=progress.done_bytes,
            total_bytes=progress.total_bytes,
            phase=progress.waits or progress.phase or None,
        )

    def of_group(self, gid: int) -> list[Task]:
        self._directory.group(gid)
        return [self.get(tid) for tid in sorted(self._tasks, reverse=True) if self._tasks[tid].gid == gid]

    def all(self) -> list[Task]:
        """All tasks, the newest first."""
        return [self.get(tid) for tid in sorted(self._tasks, reverse=True)]

    def find(self, tid: object) -> Task | None:
        return self.get(tid) if isinstance(tid, int) and tid in self._tasks else None

    # Doing

    async def ended(self, tid: int) -> Task:
        """Returns when the task has ended."""
        if (running := self._running.get(tid)) is not None:
            await asyncio.wait({running})
        return self.get(tid)

    async def begin(
        self,
        caller: Caller,
        kind: str,
        gid: int,
        name: str,
        mid: UUID | None,
        work: Work,
        frees: Callable[[], None],
        prepare: Callable[[], Awaitable[None]] = _nothing,
        unit: str = "bytes",
    ) -> int:
        """Begin a task; returns its tid. `work` makes what has the uuid `mid`, if anything; if this raises, it is never
        called.

        `frees` tells the plan of a cancellation what that would free. `prepare` runs first, within the user's limit on
        tasks: it may change objects of others.
        """
        running = sum(one.uid == caller.uid for one in map(self._tasks.__getitem__, self._running))
        words = "wait until one has ended, or cancel one"
        check_own(running + self._beginning[caller.uid], self._own, "tasks running", "user_tasks", words)
        self._beginning[caller.uid] += 1
        with self._beginning_in.of(gid):
            try:
                await prepare()
                now = int(self._clock())
                draft = Task(0, kind, caller.uid, gid, name, unit, now, mid=mid)
                tid = await self._store.add(draft, self.steady.ago(KEPT))
            finally:
                self._beginning[caller.uid] -= 1
            self._show(replace(draft, tid=tid, mid=None), work, frees)
        await asyncio.sleep(0)  # it has begun: a cancellation reaches the work, which cleans up
        return tid

    def _show(self, task: Task, work: Work, frees: Callable[[], None]) -> None:
        old, tid, gid = self.steady.ago(KEPT), task.tid, task.gid
        self._drop([one for one in self._tasks.values() if one.ended is not None and one.ended < old])
        self._tasks[tid] = task
        self._progress[tid] = TaskProgress(lambda: self._tell(tid, gid), tid)
        self._frees[tid] = frees
        self._tell(tid, gid)
        self._running[tid] = asyncio.create_task(self._run(tid, work), name=f"task {tid}")

    async def cancel(self, tid: int) -> Task:
        """Cancel a task; returns when nothing of it is left. An ended one stays as it is."""
        self.get(tid)
        running = self._running.get(tid)
        if running is not None:
            self._plan_to_cancel(self._tasks[tid])
            plan.stop_here()
            if tid not in self._ending:
                self._ending.add(tid)
                running.cancel()
            await asyncio.wait({running})
        return self.get(tid)

    async def _run(self, tid: int, work: Work) -> None:
        state, message, made = TaskState.FAILED, None, None
        try:
            with waiting(self._progress[tid].wait):
                made = await work(self._progress[tid])
            state = TaskState.DONE
        except asyncio.CancelledError:
            if self._closing:
                message = interrupted(self._tasks[tid].kind)
            else:
                state = TaskState.CANCELLED
        except NotWholly:
            pass
        except Refused as refused:
            message = refused.message
        except Exception:
            log.exception("task %d failed", tid)
            message = "an internal error: see the server's log"
        self._ending.add(tid)
        if (said := self._progress[tid].said) is not None:
            message = "; ".join(filter(None, (said(), message)))
        task = replace(_with(self.get(tid), made), state=state, message=message, ended=int(self._clock()))
        task = replace(task, done_bytes=None, total_bytes=None, phase=None)
        if state is TaskState.DONE:
            task = replace(task, done=task.total)
        try:
            await self._store.end(task)
        except Exception as error:  # it is shown as ended even if the database does not respond
            log.warning("task %d: its end cannot be written now, will retry: %s", tid, error)
            if not self._closing:
                writing = asyncio.create_task(self._write_later(task))
                self._background.add(writing)
                writing.add_done_callback(self._background.discard)
        self._tasks[tid] = task
        self._progress.pop(tid, None)
        self._frees.pop(tid, None)
        self._running.pop(tid, None)
        self._ending.discard(tid)
        self._tell(tid, task.gid)

    async def _write_later(self, task: Task) -> None:
        while True:
            await asyncio.sleep(AGAIN)
            try:
                return await self._store.end(task)
            except Exception as error:
                log.debug("task %d: its end could not be written: %s", task.tid, error)

    def _plan_to_cancel(self, task: Task) -> None:
        plan.step("cancel", "task", task.name, id=task.tid, gid=task.gid)
        self._frees[task.tid]()

    def examine(self, gids: Collection[int], *, force: bool, purge: bool) -> None:
        """Implements `velocity.access.port.GroupContents`: tasks do not prevent the deletion of a group."""
        for tid in self._running:
            if self._tasks[tid].gid in gids:
                self._plan_to_cancel(self._tasks[tid])

    async def begin_deletion(self, gids: Collection[int], *, force: bool) -> PendingTaskDeletion:
        """Implements `velocity.access.port.GroupContents`: the tasks of these groups are cancelled."""
        await self._beginning_in.ended(gids)
        running = [tid for tid in self._running if self._tasks[tid].gid in gids]
        for tid in running:
            await self.cancel(tid)
        return PendingTaskDeletion(self, gids, "tasks of it were cancelled" if running else "")

    def rename(self, kind: str, old: str, new: str) -> None:
        """What tasks of this kind are named after has a new name, which the store has already."""
        for task in [one for one in self._tasks.values() if (one.kind, one.name) == (kind, old)]:
            self._tasks[task.tid] = replace(task, name=new)
            self._tell(task.tid, task.gid)

    def forget(self, gids: Collection[int]) -> None:
        self._drop([task for task in self._tasks.values() if task.gid in gids])

    def _drop(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            del self._tasks[task.tid]
            self._tell(task.tid, task.gid)

    def _tell(self, tid: int, gid: int) -> None:
        self._changes.note_change("task", tid, gid)


def _with(task: Task, made: Made) -> Task:
    if isinstance(made, int):
        return replace(task, mid=None, vmid=made)
    return replace(task, mid=made)


class PendingTaskDeletion:
    """Tasks of groups that are being deleted."""

    def __init__(self, tasks: Tasks, gids: Collection[int], ended: str) -> None:
        self._tasks = tasks
        self._gids = gids
        self.ended = ended

    size = 0

    async def restore(self) -> None:
        return None

    def committed(self) -> None:
        self._tasks.forget(self._gids)

    async def finish(self, *, purge: bool) -> None:
        return None
