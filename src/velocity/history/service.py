"""The use cases of the history. Nobody waits for its writes: they are collected and share commits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence

from velocity.access.directory import Directory
from velocity.access.rules import ROOT_GROUP
from velocity.changes import Changes
from velocity.contract.history import ListHistory
from velocity.contract.problems import Refused
from velocity.history.port import HistoryStore
from velocity.history.refusals import Refusals
from velocity.history.rules import HistoryEntry, target_of
from velocity.steady_clock import SteadyClock

log = logging.getLogger(__name__)

WAITING = 10_000
"""Entries that may wait for the database; further ones are lost, and their number is logged."""
TOGETHER = 100
"""Entries in one statement, each of which holds the interpreter for 10 us."""
GATHERED = 0.05
"""Seconds for which entries are collected: a change may have to wait for each of their commits."""
COUNTED = 1.0
"""The same if only the counts of refusals have grown."""
RETRY_DELAY = 5.0
"""Seconds until the next attempt after the database did not respond."""
MOST, REFUSALS = 1_000_000, 200_000
"""Entries that are kept: changes, and refusals."""
APART = 10_000
"""Refusals that have an entry of their own, in one minute."""
EVERY = 3600.0
"""Seconds between two removals of old entries."""


class History:
    """Records and lists entries. `days` is how long they are kept."""

    def __init__(
        self, store: HistoryStore, directory: Directory, changes: Changes, steady: SteadyClock, days: int
    ) -> None:
        self.steady = steady
        self._store = store
        self._directory = directory
        self._changes = changes
        self._days = days
        self._waiting: deque[HistoryEntry] = deque()
        self._lost = 0
        self._refusals = Refusals(APART)
        self._writing: asyncio.Task[None] | None = None
        self._rotating: asyncio.Task[None] | None = None
        self._ends = False
        self._hurry = asyncio.Event()
        self._adding = asyncio.Lock()
        self._rotated = asyncio.Event()
        self._rotated.set()

    def open(self, every: float = EVERY) -> None:
        """Remove old entries, so many seconds apart."""
        self._rotated.clear()
        self._rotating = asyncio.create_task(self._rotate_ever(every))

    async def close(self) -> None:
        if self._rotating is not None:
            self._rotating.cancel()
            await asyncio.wait({self._rotating})
            self._rotated.set()
        self._ends = True
        self._hurry.set()
        if self._writing is not None:
            await asyncio.wait({self._writing})

    async def settle(self) -> None:
        """Returns when everything noted so far is written, without further delay, and old entries are removed."""
        await self._rotated.wait()
        while self._writing is not None:
            self._hurry.set()
            await asyncio.wait({self._writing}, timeout=GATHERED)

    def note(self, entry: HistoryEntry) -> None:
        """Record an entry; it is durable a moment later. A refusal that repeats within a minute is counted.

        Refusals may fill half of the queue: the rest is for changes.
        """
        refusal = entry.is_refusal
        if refusal:
            first = self._refusals.first(entry)
            if first is None:
                self._begin()
                return
            entry = first
        if len(self._waiting) >= (WAITING // 2 if refusal else WAITING):
            self._lost += 1
            self._refusals.lost([entry.request])
            return
        self._waiting.append(entry)
        self._begin()

    def note_own(self, did: str, named: Mapping[str, int | str], gid: int = 0, by: int | None = None) -> None:
        """Record what the server has done by itself to the object with these ids and this name, maybe for user `by`."""
        vmid = named.get("vmid")
        user = None if by is None else self._directory.users.get(by)
        self.note(
            HistoryEntry(
                at=int(time.time()), uid=by, name=user.name if user else "", address="", request=os.urandom(8).hex(),
                operation=did, gid=gid, target=target_of(named), status=200, code=None, message=None,
                vmid=vmid if isinstance(vmid, int) else None,
            )
        )  # fmt: skip

    def _begin(self) -> None:
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())

    async def seen(self, request: ListHistory) -> Sequence[tuple[int, HistoryEntry]]:
        """(hid, entry), the newest first. Raises `Refused`."""
        self._directory.group(request.gid)
        await self._add()
        return await self._store.newest(
            None if request.gid == ROOT_GROUP else request.gid,
            request.before if isinstance(request.before, int) else None,
            request.limit,
            request.uid if isinstance(request.uid, int) else None,
            request.refused if isinstance(request.refused, bool) else None,
            request.vmid if isinstance(request.vmid, int) else None,
        )

    async def _write(self) -> None:
        again = 0.0
        try:
            while self._waiting or self._refusals.have_grown:
                pause = again or (GATHERED if self._waiting else COUNTED)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), pause)
                self._hurry.clear()
                taken = await self._add()
                if self._ends and not (taken and self._waiting):
                    if self._waiting:
                        log.error("%d entries of the history could not be written", len(self._waiting))
                    return
                again = 0.0 if taken else RETRY_DELAY
        finally:
            self._writing = None

    async def _add(self) -> bool:
        """Write everything that waits. False: the database does not respond."""
        async with self._adding:
            return await self._add_waiting()

    async def _add_waiting(self) -> bool:
        while self._waiting:
            entries = [self._waiting.popleft() for _ in range(min(TOGETHER, len(self._waiting)))]
            try:
                self._refusals.stored(await self._store.add(entries))
            except Refused as refused:
                log.warning("history: waiting for the database: %s", refused.message)
                self._waiting.extendleft(reversed(entries))
                return False
            except Exception as error:
                log.error("%d entries of the history could not be written: %s", len(entries), error)
                self._refusals.lost([entry.request for entry in entries])
                continue
            for gid in {self._directory.existing(entry.gid) for entry in entries}:
                self._changes.note_change("history", gid, gid)
        if self._lost:
            log.error("%d entries of the history were lost: too many were waiting", self._lost)
            self._lost = 0
        return await self._count()

    async def _count(self) -> bool:
        """How often refusals were repeated. False: the database does not take it now."""
        grown = self._refusals.take_grown()
        if not grown:
            return True
        try:
            await self._store.count([(one.hid, one.times) for one in grown if one.hid is not None])
        except Refused as refused:
            log.warning("the history waits for the database: %s", refused.message)
            self._refusals.give_back(grown)
            return False
        except Exception as error:
            log.error("how often %d refusals were repeated could not be written: %s", len(grown), error)
        return True

    async def _rotate_ever(self, every: float) -> None:
        while True:
            self._rotated.clear()
            try:
                await self._store.rotate(self.steady.ago(self._days * 86_400), MOST, REFUSALS)
            except Refused as refused:
                log.warning("old entries of the history could not be removed: %s", refused.message)
            except Exception:  # a fault of ours: the next look is another try
                log.exception("old entries of the history could not be removed")
            finally:
                self._rotated.set()
            await asyncio.sleep(every)
