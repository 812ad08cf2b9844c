"""Whether the outcome of a commit is unknown, and what requests that wait for it are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from typing import Any, TypeVar

from velocity.contract.problems import OutcomeUnknown, Problem, Refused

PATIENCE = 3.0
"""Seconds for which an outcome may be unknown before it is told."""
BRIEF = 1.5
"""Seconds for which a new change waits for it: as long as between two attempts to find it out, and a little."""

T = TypeVar("T")


@dataclass(slots=True)
class _Change:
    """`begun`: it may have been made. Else it is known that it was not, however late the loop is."""

    begun: bool = True


_CHANGE: ContextVar[_Change] = ContextVar("change", default=_Change())  # noqa: B039 - nobody waits for that one


class Outcome:
    """Of the last commit. To be used in the loop alone."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self.patience = patience
        self._found: asyncio.Future[None] | None = None
        """To be done when it is known; None: it is."""
        self._waiting: dict[asyncio.Future[Any], tuple[_Change, Callable[[], bool]]] = {}
        """Those who wait for what they have asked for, and whether they are ready to be told that it is unknown."""

    @property
    def unknown(self) -> bool:
        return self._found is not None

    async def check(self) -> None:
        """Raises `Refused(UNAVAILABLE)` when nothing can be written soon, so that nobody waits for that in vain."""
        if self._found is None:
            return
        change = _CHANGE.get()
        change.begun = False
        await asyncio.wait({self._found}, timeout=min(BRIEF, self.patience / 2))
        if self.unknown:
            raise Refused(Problem.UNAVAILABLE, "the database does not respond; nothing was changed: try again later")
        change.begun = True

    def is_lost(self) -> None:
        if self._found is None:
            self._found = asyncio.get_running_loop().create_future()
            for told in self._waiting:
                self._tell_later(told)

    def is_found(self) -> None:
        if self._found is not None:
            self._found.set_result(None)
            self._found = None

    async def await_commit(self, work: Coroutine[Any, Any, T], ready: Callable[[], bool] = lambda: True) -> T:
        """What `work` gives. Raises `OutcomeUnknown` when it stands still for want of an outcome.

        The work goes on then, and what it shows is the truth when that is found out. Before it is `ready`, as long as
        it waits for the client, it is let be.
        """
        told: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        change, context = _Change(), copy_context()
        context.run(_CHANGE.set, change)
        self._waiting[told] = change, ready
        if self.unknown:
            self._tell_later(told)
        doing = asyncio.get_running_loop().create_task(_do(work, told), context=context)
        try:
            return await told
        except asyncio.CancelledError:
            doing.cancel()
            await asyncio.wait({doing})
            work.close()  # it may not have begun
            raise
        finally:
            del self._waiting[told]
            del told  # a failure in it holds it by this frame: a cycle, which only the collector would find

    def _tell_later(self, told: asyncio.Future[Any]) -> None:
        asyncio.get_running_loop().call_later(self.patience, self._tell, told)

    def _tell(self, told: asyncio.Future[Any]) -> None:
        if not self.unknown or told.done():
            return
        change, ready = self._waiting[told]
        if change.begun and ready():
            told.set_exception(OutcomeUnknown(OutcomeUnknown.message))
        else:
            self._tell_later(told)


async def _do(work: Coroutine[Any, Any, T], told: asyncio.Future[T]) -> None:
    """Do it, and tell in the very step of the loop. That nobody waits for it any more is no fault."""
    try:
        result = await work
    except asyncio.CancelledError:
        told.cancel()
    except Exception as error:
        if not told.done():
            told.set_exception(error)
    else:
        if not told.done():
            told.set_result(result)
    finally:
        del told
