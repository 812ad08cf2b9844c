"""The space that media take on disk, which is less than their size until they are full."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from velocity.contract.problems import Refused
from velocity.media.library import Library
from velocity.media.rules import CALL_DEADLINE, Medium
from velocity.media.states import PoolStates
from velocity.storage.port import Blobs
from velocity.storage.qcow2 import HEAD, granularity


@dataclass(frozen=True)
class FileFacts:
    """What the file of a medium tells: its length in bytes, when it was last written in unix seconds.

    Of qcow2, the bytes of a cluster, and those that are given out alone.
    """

    size: int
    modified: float
    layout: tuple[int, int] | None


class DiskUsage:
    """The bytes that each medium was last found to take."""

    def __init__(self, blobs: Blobs, states: PoolStates, library: Library) -> None:
        self._blobs = blobs
        self._states = states
        self._library = library
        self._last: dict[UUID, int] = {}
        self._missing: set[UUID] = set()

    def is_missing(self, mid: UUID) -> bool:
        """Whether its pool was there at the last look, and its file was not."""
        return mid in self._missing

    def last(self, mid: UUID) -> int:
        """Bytes that it was last found to take on the disk."""
        return self._last.get(mid, 0)

    async def measure(self, media: Sequence[Medium]) -> dict[UUID, int]:
        """Look what they take now: 0 in a pool that does not answer."""
        found = dict.fromkeys((medium.mid for medium in media), 0)
        missing: set[UUID] = set()
        for mpid in {medium.mpid for medium in media if self._states.has(medium.mpid)}:
            refs = tuple(medium.ref for medium in media if medium.mpid == mpid)
            with contextlib.suppress(Refused):
                stats = await self._blobs.stat(mpid, refs, deadline=CALL_DEADLINE)
                found |= {ref.medium: one.allocated for ref, one in zip(refs, stats, strict=True) if one is not None}
                unseen = {ref.medium for ref, one in zip(refs, stats, strict=True) if one is None}
                if unseen and (await self._states.look(mpid)).state != "away":
                    missing |= unseen
        for mid, size in found.items():
            was, now = (self._last.get(mid), mid in self._missing), (size, mid in missing)
            if self._library.find(mid) is not None and was != now:
                self._last[mid] = size
                (self._missing.add if mid in missing else self._missing.discard)(mid)
                self._library.touched(mid)
        return found

    async def look(self, medium: Medium) -> FileFacts | None:
        """What its file tells now; None: it, or its pool, is not there. What it takes is measured too."""
        await self.measure([medium])
        if not self._states.has(medium.mpid):
            return None
        with contextlib.suppress(Refused):
            await self._states.check(medium.mpid, writes=False)
            file = await self._blobs.get(medium.ref, deadline=CALL_DEADLINE)
            try:
                layout = granularity(await file.read(0, HEAD)) if medium.format == "qcow2" else None
            finally:
                await file.close()
            return FileFacts(file.stat.size, file.stat.modified, layout)
        return None

    def forget(self, mid: UUID) -> None:
        """The medium is gone: release its name and bytes."""
        self._last.pop(mid, None)
        self._missing.discard(mid)
