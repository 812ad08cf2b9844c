"""Whether the outcome of a commit is unknown, and the answer to requests that wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from typing import Any, TypeVar

from velocity.contract.problems import OutcomeUnknown, Problem, Refused

PATIENCE = 3.0
"""Seconds for which an outcome may be unknown before requests are answered with 503."""
BRIEF = 1.5
"""Seconds for which a new change waits: a little more than between two attempts to find the outcome out."""

T = TypeVar("T")


@dataclass(slots=True)
class _Change:
    """`begun`: the change may have been made. Otherwise it was certainly not made, however late the loop runs."""

    begun: bool = True


_CHANGE: ContextVar[_Change] = ContextVar("change", default=_Change())  # noqa: B039 - nobody waits for that one


class Outcome:
    """Whether the outcome of the last commit is known. For use in the loop only."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self.patience = patience
        self._found: asyncio.Future[None] | None = None
        """Done when the outcome is known; None: it is known."""
        self._waiting: dict[asyncio.Future[Any], tuple[_Change, Callable[[], bool]]] = {}
        """The requests that wait, each with whether it is ready to be told that the outcome is unknown."""

    @property
    def unknown(self) -> bool:
        return self._found is not None

    async def check(self) -> None:
        """Raises `Refused(UNAVAILABLE)` if no outcome comes soon, so that nobody waits in vain."""
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
        """The result of `work`. Raises `OutcomeUnknown` if that waits too long for an outcome.

        The work continues then, and changes what is shown once the outcome is known. Until it is `ready`, that is,
        while it waits for the client, it is not told.
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
            work.close()  # in case it has not begun
            raise
        finally:
            del self._waiting[told]
            del told  # an exception in it refers to this frame: a cycle that only the garbage collector would find

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
    """Do the work, and set `told` in the same step. Nobody need be waiting for it."""
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
