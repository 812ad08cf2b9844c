"""The space that media use on disk, which is less than their size until they are full."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from velocity.contract.problems import Refused
from velocity.media.library import Library
from velocity.media.rules import CALL_DEADLINE, Medium
from velocity.media.states import PoolStates
from velocity.storage.port import Blobs
from velocity.storage.qcow2 import HEAD, granularity


class FileFacts(Struct, frozen=True):
    """What a medium's file shows: its length in bytes, and when it was last written (Unix seconds).

    For qcow2, the bytes of a cluster, and of the unit of allocation.
    """

    size: int
    modified: float
    layout: tuple[int, int] | None


class DiskUsage:
    """The bytes that each medium last used."""

    def __init__(self, blobs: Blobs, states: PoolStates, library: Library) -> None:
        self._blobs = blobs
        self._states = states
        self._library = library
        self._last: dict[UUID, int] = {}
        self._missing: set[UUID] = set()

    def is_missing(self, mid: UUID) -> bool:
        """Whether its pool was available at the last check, but its file missing."""
        return mid in self._missing

    def last(self, mid: UUID) -> int:
        """Bytes that it last used on disk."""
        return self._last.get(mid, 0)

    async def measure(self, media: Sequence[Medium]) -> dict[UUID, int]:
        """Measure their present usage: 0 in a pool that does not respond."""
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
        """The present facts of its file; None if the file or its pool is not there. Also measures its usage."""
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
        """The medium is gone: forget it."""
        self._last.pop(mid, None)
        self._missing.discard(mid)
