"""What media take on the disk, which is less than they declare while they are not full."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from uuid import UUID

from velocity.contract.problems import Refused
from velocity.media.library import Library
from velocity.media.rules import CALL_DEADLINE, Medium
from velocity.media.states import PoolStates
from velocity.storage.port import Blobs


class DiskUsage:
    """The bytes that each medium was last found to take."""

    def __init__(self, blobs: Blobs, states: PoolStates, library: Library) -> None:
        self._blobs = blobs
        self._states = states
        self._library = library
        self._last: dict[UUID, int] = {}

    def last(self, mid: UUID) -> int:
        """Bytes that it was last found to take on the disk."""
        return self._last.get(mid, 0)

    async def measure(self, media: Sequence[Medium]) -> dict[UUID, int]:
        """Look what they take now: 0 in a pool that does not answer."""
        found = dict.fromkeys((medium.mid for medium in media), 0)
        for mpid in {medium.mpid for medium in media if self._states.has(medium.mpid)}:
            refs = tuple(medium.ref for medium in media if medium.mpid == mpid)
            with contextlib.suppress(Refused):
                stats = await self._blobs.stat(mpid, refs, deadline=CALL_DEADLINE)
                found |= {ref.medium: one.allocated for ref, one in zip(refs, stats, strict=True) if one is not None}
        for mid, size in found.items():
            if self._library.find(mid) is not None and self._last.get(mid) != size:
                self._last[mid] = size
                self._library.touched(mid)
        return found

    def forget(self, mid: UUID) -> None:
        """The medium is no more."""
        self._last.pop(mid, None)
