"""What safe repetition needs: a record in the transaction of a request's first write, then the response."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

from msgspec import Struct


@dataclass
class Pending:
    """A request with a key. The store writes its record together with its first write, and sets `noted`."""

    uid: int
    key: str
    fingerprint: bytes
    noted: bool = False


PENDING: ContextVar[Pending | None] = ContextVar("pending", default=None)
"""The request that the present task serves."""


class Noted(Struct, frozen=True):
    """A request that was carried out; `answer` is None if the response was not stored."""

    fingerprint: bytes
    answer: bytes | None


class IdempotencyStore(Protocol):
    """Each call is one transaction, durable when it returns."""

    async def find(self, uid: int, key: str, forget_before: int) -> Noted | None:
        """Ignores records older than `since` (Unix seconds). Writes nothing."""

    async def times(self, uid: int, since: int, most: int) -> list[int]:
        """The times of a user's records since then, the oldest first, of the newest `most`."""

    async def keep(self, pending: Pending, answer: bytes | None, now: int, forget_before: int) -> None:
        """Store the response of a request; None: it is not kept. Removes older records."""

    async def drop(self, uid: int, key: str) -> None:
        """The request was refused: remove its record."""
