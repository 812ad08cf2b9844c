"""Empties the trash, as a task: item by item, by the caller's permissions at that moment."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Collection, Sequence

from velocity import plan
from velocity.access.directory import Directory, home_of
from velocity.access.lasting import WhileAllowed, still_user
from velocity.access.sessions import Caller
from velocity.contract.problems import Problem, Refused, done_before
from velocity.contract.trash import ListTrash
from velocity.sizes import size
from velocity.tasks.rules import EMPTY
from velocity.tasks.service import NotWholly, TaskProgress, Tasks
from velocity.trash.port import Item, TrashStore
from velocity.trash.purging import Purging
from velocity.trash.service import Trash, plan_to_purge
from velocity.uninterrupted import ended

log = logging.getLogger(__name__)

NAMED = 20
"""Items that a message lists for one reason."""


class Emptying:
    """Permanently removes what a user sees in the trash."""

    def __init__(self, store: TrashStore, directory: Directory, trash: Trash, purging: Purging, tasks: Tasks) -> None:
        self._store = store
        self._directory = directory
        self._trash = trash
        self._purging = purging
        self._tasks = tasks
        self.turn = asyncio.Lock()
        """Of two who empty it at the same time, each removes an item in turn."""

    async def begin(self, caller: Caller, trids: Collection[int] | None) -> int:
        """Begin the task that removes these items, or all, among those that the caller sees.

        It belongs to the caller's home group, as the items may be of many groups. Raises `Refused` before it begins.
        """
        only = None if trids is None else set(trids)
        items = [one for one in await self._trash.seen_by(caller, ListTrash()) if only is None or one.trid in only]
        still = still_user(self._directory, caller.uid)

        async def work(progress: TaskProgress) -> None:
            async with WhileAllowed(still):
                await self._empty(caller, items, progress)

        async def prepare() -> None:
            for item in items if plan.is_plan() else ():
                with contextlib.suppress(ValueError):  # it cannot be read, and stays
                    if (contents := await self._store.contents(item.trid)) is not None:
                        plan_to_purge(contents)

        home = home_of(self._directory, caller.uid)
        return await self._tasks.begin(caller, EMPTY, home, "trash", None, work, lambda: None, prepare, unit="items")

    async def _empty(self, caller: Caller, items: Sequence[Item], progress: TaskProgress) -> None:
        """Raises `NotWholly` if something stays, `Refused` if nothing more can be removed now."""
        progress.total_bytes = sum(item.what.size for item in items)
        progress.done_bytes, progress.total = 0, len(items)
        report = _Report(len(items))
        progress.said = report.words
        for item in items:
            async with self.turn:
                await ended(asyncio.ensure_future(self._remove(caller, item, report)))
            progress.done_bytes = report.bytes
            progress.done = report.removed + report.gone
        if report.stays:
            raise NotWholly

    async def _remove(self, caller: Caller, item: Item, report: _Report) -> None:
        """Raises `Refused`: the database does not respond."""
        try:
            if not self._trash.may(caller, item):
                report.stay(item, "you may no longer remove it")
            elif (contents := await self._store.contents(item.trid)) is None:
                report.gone += 1
            elif self._purging.is_taken(item.trid):
                report.stay(item, "it is just being restored, or removed by another")
            elif not await self._purging.purge(item, contents):
                report.gone += 1
            else:
                report.removed += 1
                report.bytes += item.what.size
        except Refused as refused:
            if refused.problem is Problem.UNAVAILABLE:
                with done_before("empty the trash again for what is left"):
                    raise
            report.stay(item, refused.message)
        except ValueError as error:
            log.warning("trash: %s %r cannot be read: %s", item.what.kind, item.what.name, error)
            report.stay(item, "it cannot be read: see the server's log")
        except Exception:
            log.exception("trash: %s %r cannot be removed", item.what.kind, item.what.name)
            report.stay(item, "an internal error: see the server's log")


class _Report:
    """The result. Those who see the task may not see the items, so it lists numbers, not names."""

    def __init__(self, total: int) -> None:
        self._total = total
        self.removed = 0
        self.bytes = 0
        self.gone = 0
        """Removed or restored by somebody else meanwhile."""
        self.stays: defaultdict[str, list[Item]] = defaultdict(list)
        """By reason."""

    def stay(self, item: Item, reason: str) -> None:
        self.stays[reason].append(item)

    def words(self) -> str:
        amount = f" ({size(self.bytes)})" if self.bytes else ""
        gone = f", {self.gone} had gone already" if self.gone else ""
        said = [f"removed {self.removed} of {self._total} items{amount}{gone}"]
        for reason, items in self.stays.items():
            named = ", ".join(f"{one.trid} ({one.what.kind})" for one in items[:NAMED])
            more = f" and {len(items) - NAMED} more" if len(items) > NAMED else ""
            said.append(f"not removed: {named}{more}: {reason}")
        return "; ".join(said)
