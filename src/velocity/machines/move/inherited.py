"""Open moves in the database with which a host was promoted: another server may have continued them since.

Only the pools show whether it has committed such a move. So they are examined, and nothing of the move is removed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from velocity.machines.move.rules import MovedMedium
from velocity.machines.rules import CALL_DEADLINE
from velocity.media.states import PoolStates
from velocity.storage.port import Blobs, MediaRef, Unknown

log = logging.getLogger(__name__)


class Whereabouts:
    """Finds out where the media of a move actually are."""

    def __init__(self, states: PoolStates, blobs: Blobs) -> None:
        self._states = states
        self._blobs = blobs

    async def have_gone(self, media: Sequence[MovedMedium]) -> bool:
        """Whether the move was committed: all media are in the target's pools, and one has left the source's.

        Raises `Refused` while one of these pools is away.
        """
        there = [await self._is_there(one.there) for one in media]
        return bool(there) and all(there) and not all([await self._is_there(one.here) for one in media])

    async def _is_there(self, ref: MediaRef) -> bool:
        if (now := await self._states.look(ref.pool)).state == "away":
            raise Unknown(now.message)
        (found,) = await self._blobs.stat(ref.pool, (ref,), deadline=CALL_DEADLINE)
        return found is not None


def leave(vmid: int, ref: MediaRef) -> None:
    log.warning(
        "vm %d: remains of its move (medium %s in pool %d) are not removed, as the move was open in the database by "
        "which a host was promoted",
        vmid, ref.medium, ref.pool,
    )  # fmt: skip
