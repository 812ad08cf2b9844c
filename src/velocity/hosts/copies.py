"""Keeps copies of the server's database on the hosts that are to have one. `velocity promote` uses them there."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Protocol

from velocity.hosts.members import CopyMark, CopyPiece, Member, NodeCalls
from velocity.hosts.roster import Roster
from velocity.hypervisor.port import HostId, HypervisorError

log = logging.getLogger(__name__)

EVERY = 5.0
"""Seconds between two checks whether the database has changed."""
SHARE = 20
"""The pause after a copy is at least this many times as long as making it took: large ones are made less often."""
CONFIRM = 60.0
"""Seconds after which a host is asked whether it still has the copy that it received."""
PIECE = 256 << 10
DEADLINE = 30.0
"""Bytes that are sent at a time, and the seconds for each call."""
DROPS = 3
"""How often a host is told to keep no copy, if the call fails: one of an older version does not know it."""


class CopySource(Protocol):
    """The database to be copied. Both calls block: to be made in a thread."""

    def mark(self) -> CopyMark:
        """The database's current term and transaction number."""

    def take(self, file: Path) -> CopyMark:
        """Write a consistent copy to this file. Returns the mark that the copy has."""


@dataclass(frozen=True)
class KeptCopy:
    """The copy on one host. `at`: the Unix time at which it last equalled the database; 0: not known yet."""

    at: int = 0
    mark: CopyMark | None = None
    trouble: str = ""


NOTHING = KeptCopy()


@dataclass
class Draft:
    """A copy to be sent to hosts. `size` in bytes, `digest` its SHA-256 in hexadecimal, `at` in Unix seconds."""

    file: Path
    mark: CopyMark
    at: int
    size: int
    digest: str


@dataclass
class Copies:
    """Keeps the copies up to date. `nodes` returns the node of a host that answers, else None. `source` is None if the
    database has its own replication. `changed` is called when other hosts are to keep copies.
    """

    source: CopySource | None
    file: Path
    roster: Roster
    nodes: Callable[[HostId], NodeCalls | None]
    clock: Callable[[], float] = time.time
    changed: Callable[[], None] = lambda: None
    _trouble: str = ""
    """Why no copy can be made for any host; empty if it can."""
    _kept: dict[HostId, KeptCopy] = field(default_factory=dict)
    _tries: dict[HostId, int] = field(default_factory=dict)
    """How often each host that is to keep no copy has been told so."""
    _poke: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        if self.source is not None:
            self._task = asyncio.create_task(self._run(self.source))

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def keepers_changed(self) -> None:
        """Other hosts are to keep copies: check now."""
        self._poke.set()
        self.changed()

    def of(self, member: Member) -> KeptCopy:
        kept = self._kept.get(member.host, NOTHING)
        return replace(kept, trouble=self._trouble) if self._trouble else kept

    async def _run(self, source: CopySource) -> None:
        loop = asyncio.get_running_loop()
        while True:
            begun = loop.time()
            try:
                await self._bring(source)
                self._trouble = ""
            except Exception as error:  # the disk is full, or a programming error: tried again
                words = f"no copy of the database can be made: {error}"
                if words != self._trouble:
                    log.exception("%s", words)
                self._trouble = words
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(EVERY, SHARE * (loop.time() - begun))):
                    await self._poke.wait()
            self._poke.clear()

    async def _bring(self, source: CopySource) -> None:
        await self._drop()
        keepers = [one for one in self.roster if one.keeps_copy and not one.own]
        if not keepers:
            return
        now, at = await asyncio.to_thread(source.mark), int(self.clock())
        lacking = [one for one in keepers if not await self._has(one, now, at)]
        ready = [(one, node) for one in lacking if (node := self.nodes(one.host)) is not None]
        if not ready:
            return
        draft = await asyncio.to_thread(self._take, source, at)
        self._trouble = ""
        try:
            for member, node in ready:
                await self._send(draft, member, node)
        finally:
            await asyncio.to_thread(self.file.unlink, missing_ok=True)

    async def _drop(self) -> None:
        """Delete the copies on hosts that are not to keep one, as such a host could become the server.

        After `DROPS` failures a host is left alone: one of an older version has never had a copy.
        """
        for one in self.roster:
            node = self.nodes(one.host)
            if one.keeps_copy:
                self._tries.pop(one.host, None)
            elif node is not None and self._tries.get(one.host, 0) < DROPS:
                self._tries[one.host] = self._tries.get(one.host, 0) + 1
                with contextlib.suppress(HypervisorError):
                    await node.drop_copies(deadline=DEADLINE)
                    self._tries[one.host] = DROPS

    def _take(self, source: CopySource, at: int) -> Draft:
        self.file.unlink(missing_ok=True)
        mark = source.take(self.file)
        with self.file.open("rb") as data:
            digest = hashlib.file_digest(data, "sha256").hexdigest()
        return Draft(self.file, mark, at, self.file.stat().st_size, digest)

    async def _has(self, member: Member, now: CopyMark, at: int) -> bool:
        """Whether its copy equals the database with the mark `now`, at the Unix time `at`. Sometimes asks the host."""
        kept = self.of(member)
        if kept.mark != now:
            return False
        if 0 <= at - kept.at < CONFIRM:  # less than nothing: the clock was set back
            return True
        node = self.nodes(member.host)
        with contextlib.suppress(HypervisorError):
            if node is not None and await node.confirm_copy(now, at, deadline=DEADLINE):
                self._note(member, KeptCopy(at, now))
                return True
        return False

    async def _send(self, draft: Draft, member: Member, node: NodeCalls) -> None:
        with draft.file.open("rb") as data:
            try:
                for offset in range(0, draft.size, PIECE):
                    await node.take_copy(await asyncio.to_thread(_piece, draft, data, offset), deadline=DEADLINE)
            except HypervisorError as error:
                words = f"{member.name} has not taken the newest copy of the database: {error}"
                if self.of(member).trouble != words:
                    log.warning("%s", words)
                kept = self.of(member)
                self._note(member, KeptCopy(kept.at, kept.mark, words))
            else:
                self._note(member, KeptCopy(draft.at, draft.mark))

    def _note(self, member: Member, kept: KeptCopy) -> None:
        before = self.of(member)
        self._kept[member.host] = kept
        if before.trouble != kept.trouble or abs(kept.at - before.at) >= CONFIRM:  # whoever shows its age asks again
            self.roster.tell(member.host)


def _piece(draft: Draft, data: BinaryIO, offset: int) -> CopyPiece:
    data.seek(offset)
    return CopyPiece(draft.mark, draft.at, draft.size, draft.digest, offset, data.read(PIECE))
