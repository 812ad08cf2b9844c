"""Open moves in a database from which a host was promoted: another server may have continued them since.

What that one has committed and removed, only the objects tell: they are asked, and nothing of such a move is removed.
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
    """Where the media of a move are, in truth."""

    def __init__(self, states: PoolStates, blobs: Blobs) -> None:
        self._states = states
        self._blobs = blobs

    async def have_gone(self, media: Sequence[MovedMedium]) -> bool:
        """Whether they are in the target's pools, and one of them is in the source's no more: it was committed.

        Raises `Refused` as long as a pool that has to be looked at is away.
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
