"""Restoring media from the trash."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from velocity import plan
from velocity.contract.problems import Problem, Refused
from velocity.media.library import Library
from velocity.media.reservations import Reservations
from velocity.media.rules import CALL_DEADLINE, Medium
from velocity.media.states import PoolStates
from velocity.media.usage import DiskUsage
from velocity.storage.port import Belongs, Trash


class Restoration:
    """Restores media, with the same claims on names and quota as a creation."""

    def __init__(
        self,
        trash: Trash,
        library: Library,
        reservations: Reservations,
        states: PoolStates,
        usage: DiskUsage,
        finish_growing: Callable[[], None],
    ) -> None:
        """`finish_growing` lets those grow that were to grow when they were deleted."""
        self._finish_growing = finish_growing
        self._trash = trash
        self._library = library
        self._reservations = reservations
        self._states = states
        self._usage = usage

    @asynccontextmanager
    async def returning(self, media: Sequence[Medium]) -> AsyncIterator[None]:
        """Within, media are restored with their names and quota; an exception undoes it."""
        async with AsyncExitStack() as held, AsyncExitStack() as undo:
            for medium in media:
                held.enter_context(self._reservations.reserve(medium))
                self._library.returning[medium.mid] = medium
                held.callback(self._library.returning.pop, medium.mid)
                if not self._states.has(medium.mpid):
                    mine = self._library.visible_name(medium)
                    raise Refused(Problem.POOL_NOT_FOUND, f"pool {medium.mpid} of {mine} is no longer declared")
                await self._states.check(medium.mpid)
                if plan.is_plan():
                    plan.step("restore", "medium", medium.name, id=medium.mid, gid=medium.gid)
                    continue
                await self._trash.restore(medium.ref, deadline=CALL_DEADLINE)
                undo.push_async_callback(self._settle, medium, Belongs.TRASH)
            yield
            undo.pop_all()  # it is committed
            for medium in media:
                self._reservations.keep(medium)
                self._library.add(medium)
                await self._settle(medium, Belongs.KEPT)
            if any(medium.growing for medium in media):
                self._finish_growing()
            await self._usage.measure(media)

    async def _settle(self, medium: Medium, belongs: Belongs) -> None:
        await self._trash.settle(medium.ref, belongs, deadline=CALL_DEADLINE)
