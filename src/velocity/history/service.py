"""The use cases of the history. Nobody waits for its writing: what is noted shares the next commits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Sequence

from velocity.access import rules as access_rules
from velocity.access.directory import Directory
from velocity.changes import Changes
from velocity.contract import auth, sessions
from velocity.contract.history import ListHistory
from velocity.contract.problems import Refused
from velocity.history.port import HistoryStore
from velocity.history.rules import Entry

log = logging.getLogger(__name__)

WAITING = 10_000
"""Entries that may wait for the database; more are counted and said in the log."""
TOGETHER = 500
GATHERED = 0.05
"""Seconds for which entries gather: each commit of theirs is one that somebody's change may wait for."""
AGAIN = 5.0
"""Seconds after which what the database did not take is tried again."""
MOST = 1_000_000
LOOK = 3600.0
RECENT = 200_000
"""Entries among which sign-ins are looked for at the start, which takes a fraction of a second."""
SIGN_INS = (auth.SIGN_IN.name, sessions.OPEN.name)


class History:
    """Notes and lists. `days` is how long entries are kept."""

    def __init__(self, store: HistoryStore, directory: Directory, changes: Changes, days: int) -> None:
        self._store = store
        self._directory = directory
        self._changes = changes
        self._days = days
        self._waiting: deque[Entry] = deque()
        self._lost = 0
        self._writing: asyncio.Task[None] | None = None
        self._rotating: asyncio.Task[None] | None = None
        self._ends = asyncio.Event()

    def open(self) -> None:
        self._rotating = asyncio.create_task(self._rotate_ever())

    async def close(self) -> None:
        if self._rotating is not None:
            self._rotating.cancel()
            await asyncio.wait({self._rotating})
        self._ends.set()
        if self._writing is not None:
            await asyncio.wait({self._writing})

    async def settle(self) -> None:
        """Returns when all that was noted is written."""
        while self._writing is not None:
            await asyncio.wait({self._writing})

    def note(self, entry: Entry) -> None:
        """Take an entry; it is durable soon after."""
        if len(self._waiting) >= WAITING:
            self._lost += 1
            return
        self._waiting.append(entry)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())

    async def seen(self, request: ListHistory) -> Sequence[tuple[int, Entry]]:
        """(hid, entry), the newest first. Raises `Refused`."""
        self._directory.group(request.gid)
        await self._add()
        below = access_rules.subtree(self._directory.groups, request.gid)
        return await self._store.newest(
            None if request.gid == access_rules.ROOT_GROUP else below,
            request.before if isinstance(request.before, int) else None,
            request.limit,
            request.uid if isinstance(request.uid, int) else None,
            request.refused if isinstance(request.refused, bool) else None,
            request.vmid if isinstance(request.vmid, int) else None,
        )

    async def signed_in(self, limit: int) -> Sequence[tuple[str, str]]:
        """(name, address) of those who have signed in, the latest first."""
        return await self._store.signed_in(SIGN_INS, RECENT, limit)

    async def _write(self) -> None:
        pause = GATHERED
        try:
            while self._waiting:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._ends.wait(), pause)
                taken = await self._add()
                if not taken and self._ends.is_set():
                    log.error("%d entries of the history could not be written", len(self._waiting))
                    return
                pause = GATHERED if taken else AGAIN
        finally:
            self._writing = None

    async def _add(self) -> bool:
        """All that waits. False: the database does not take it now."""
        while self._waiting:
            entries = [self._waiting.popleft() for _ in range(min(TOGETHER, len(self._waiting)))]
            try:
                await self._store.add(entries)
            except Refused as refused:
                log.warning("history: waiting for the database: %s", refused.message)
                self._waiting.extendleft(reversed(entries))
                return False
            except Exception as error:
                log.error("%d entries of the history could not be written: %s", len(entries), error)
                continue
            for gid in {self._directory.existing(entry.gid) for entry in entries}:
                self._changes.tell("history", gid, gid)
        if self._lost:
            log.error("%d entries of the history were lost: too many were waiting", self._lost)
            self._lost = 0
        return True

    async def _rotate_ever(self) -> None:
        while True:
            try:
                await self._store.rotate(int(time.time()) - self._days * 86_400, MOST)
            except Refused as refused:
                log.warning("old entries of the history could not be removed: %s", refused.message)
            await asyncio.sleep(LOOK)
