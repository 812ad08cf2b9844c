"""Media that are being deleted, alone or with their group: out of the library, until the store has them no more."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from velocity.contract.problems import Refused
from velocity.media.rules import Medium
from velocity.storage.port import Belongs

if TYPE_CHECKING:
    from velocity.media.service import Library


class WithdrawnMedia:
    """Media that are being deleted: out of use, their files out of place."""

    def __init__(self, library: Library, media: Sequence[Medium], gids: Collection[int]) -> None:
        self._library = library
        self._media = media
        self._gids = gids
        self.size = sum(medium.size for medium in media)

    async def restore(self) -> None:
        for medium in self._media:
            await self._library.settle(medium, Belongs.KEPT)
            self._library.back(medium)

    def committed(self) -> None:
        for medium in self._media:
            self._library.gone(medium)
        for gid in self._gids:
            self._library.pools.forget(gid)

    async def finish(self, *, purge: bool) -> None:
        for medium in self._media:
            await self._library.settle(medium, Belongs.NOWHERE if purge else Belongs.TRASH)
        if not purge:
            with contextlib.suppress(Refused, OSError):  # they are deleted, whether or not room can be made
                await self._library.room.relieve({medium.mpid for medium in self._media})
