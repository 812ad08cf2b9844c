"""What repeating safely needs: a record in the transaction of a request's first change, and its answer later."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol


@dataclass
class Pending:
    """A request that bears a key. The store notes it with the first thing that the request writes: `noted` then."""

    uid: int
    key: str
    fingerprint: bytes
    noted: bool = False


PENDING: ContextVar[Pending | None] = ContextVar("pending", default=None)
"""The request that the present task serves."""


@dataclass(frozen=True)
class Noted:
    """A request that was carried out; `answer` is None when it was not kept, or the server ended before."""

    fingerprint: bytes
    answer: bytes | None


class IdempotencyStore(Protocol):
    """Each call is one transaction; what returns is durable."""

    async def find(self, uid: int, key: str, forget_before: int) -> Noted | None:
        """What was noted before that (unix seconds) is forgotten. Nothing is written."""

    async def times(self, uid: int, since: int, most: int) -> list[int]:
        """When those of a user were kept that are not older than that, the oldest first; the newest `most` of them."""

    async def keep(self, pending: Pending, answer: bytes | None, now: int, forget_before: int) -> None:
        """The answer of a request, noted or not yet; None: it is not kept. What was noted before that goes."""

    async def drop(self, uid: int, key: str) -> None:
        """It was refused after all."""
