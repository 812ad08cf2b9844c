"""Copies of the server's database on hosts that keep one, which `velocity promote` uses there."""

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
"""Seconds between two looks at whether the database has changed."""
SHARE = 20
"""A copy of a large database is made so much more seldom that this is at most the twentieth part of the time."""
CONFIRM = 60.0
"""Seconds after which a host is asked whether it has the copy still that it got."""
PIECE = 256 << 10
DEADLINE = 30.0
DROPS = 3
"""How often a host is told to keep no copy, if it does not understand that."""


class CopySource(Protocol):
    """The database. Both in a thread."""

    def mark(self) -> CopyMark:
        """Where it is now."""

    def take(self, file: Path) -> CopyMark:
        """Write it there as of one moment, and where it was then."""


@dataclass(frozen=True)
class KeptCopy:
    """Of one host. `at`: the unix time as of which its copy is as good as the database; 0: not known yet."""

    at: int = 0
    mark: CopyMark | None = None
    trouble: str = ""


NOTHING = KeptCopy()


@dataclass
class Draft:
    """A copy that is on its way to hosts."""

    file: Path
    mark: CopyMark
    at: int
    size: int
    digest: str


@dataclass
class Copies:
    """Keeps them as the database is. `nodes` finds a host that answers; `source` is None where a database has its own
    replication. `changed` is called when others keep copies.
    """

    source: CopySource | None
    file: Path
    roster: Roster
    nodes: Callable[[HostId], NodeCalls | None]
    clock: Callable[[], float] = time.time
    changed: Callable[[], None] = lambda: None
    _trouble: str = ""
    """Why none can be made, for anybody."""
    _kept: dict[HostId, KeptCopy] = field(default_factory=dict)
    _tries: dict[HostId, int] = field(default_factory=dict)
    """How often those that are to keep none were told so."""
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
        """Look now."""
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
            except Exception as error:  # of a disk that is full, or of a fault of ours: tried again
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
        """A host that is to keep none has none: it could become the server. One of an older version never had any."""
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
        """Whether its copy is the database as it is now."""
        kept = self.of(member)
        if kept.mark != now:
            return False
        if at - kept.at < CONFIRM:
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
        if before.trouble != kept.trouble or kept.at - before.at >= CONFIRM:  # who shows its age asks again now
            self.roster.tell(member.host)


def _piece(draft: Draft, data: BinaryIO, offset: int) -> CopyPiece:
    data.seek(offset)
    return CopyPiece(draft.mark, draft.at, draft.size, draft.digest, offset, data.read(PIECE))
