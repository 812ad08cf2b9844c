"""Whether the outcome of a commit is unknown at the moment, and what those are told who wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from velocity.contract.problems import OutcomeUnknown, Problem, Refused

PATIENCE = 3.0
"""Seconds for which an outcome may be unknown before it is told."""
BRIEF = 1.5
"""Seconds for which a new change waits for it: as long as between two attempts to find it out, and a little."""

T = TypeVar("T")


class Outcome:
    """Of the last commit. To be used in the loop alone."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self.patience = patience
        self._doubt: asyncio.Future[None] | None = None
        """Done as long as it is unknown."""
        self._found: asyncio.Future[None] | None = None

    @property
    def unknown(self) -> bool:
        return self._doubt is not None and self._doubt.done()

    async def check(self) -> None:
        """Raises `Refused(UNAVAILABLE)` when nothing can be written soon, so that nobody waits for that in vain."""
        if self._found is not None:
            await asyncio.wait({self._found}, timeout=min(BRIEF, self.patience))
        if self.unknown:
            raise Refused(Problem.UNAVAILABLE, "the database does not respond; nothing was changed: try again later")

    def is_lost(self) -> None:
        if not self.unknown:
            self._future().set_result(None)
            self._found = asyncio.get_running_loop().create_future()

    def is_found(self) -> None:
        if self._found is not None:
            self._found.set_result(None)
            self._found = self._doubt = None

    def _future(self) -> asyncio.Future[None]:
        if self._doubt is None:
            self._doubt = asyncio.get_running_loop().create_future()
        return self._doubt

    async def await_commit(self, work: Coroutine[Any, Any, T], ready: Callable[[], bool] = lambda: True) -> T:
        """What `work` gives. Raises `OutcomeUnknown` when it stands still for want of an outcome.

        The work goes on then, and what it shows is the truth when that is found out. Before it is `ready`, as long as
        it waits for the client, it is let be.
        """
        doing = asyncio.ensure_future(work)
        try:
            while not doing.done():
                doubt: asyncio.Future[Any] = self._future()
                await asyncio.wait({doing, doubt}, return_when=asyncio.FIRST_COMPLETED)
                if not doing.done():
                    await asyncio.wait({doing}, timeout=self.patience)
                if not doing.done() and self.unknown and ready():
                    raise OutcomeUnknown(OutcomeUnknown.message)
        except asyncio.CancelledError:
            doing.cancel()
            await asyncio.wait({doing})
            raise
        except OutcomeUnknown:
            doing.add_done_callback(_seen)
            raise
        try:
            return doing.result()
        finally:
            del doing  # its failure holds it by this frame: a cycle, which only the collector would find


def _seen(done: asyncio.Future[Any]) -> None:
    """Nobody waits for it any more: its failure is no fault."""
    if not done.cancelled():
        done.exception()
