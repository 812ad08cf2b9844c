"""Each request with an Idempotency-Key is carried out once; repeated, it gets the answer of the first time.

After draft-ietf-httpapi-idempotency-key-header. Refusals are not kept: what changed nothing may be tried again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from velocity.contract.problems import Problem, Refused
from velocity.idempotency.port import PENDING, IdempotencyStore, Pending

KEPT = 24 * 3600
"""Seconds for which a key is known."""


class Idempotency:
    """The requests that bear a key."""

    def __init__(self, store: IdempotencyStore, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._under_way: dict[tuple[int, str], asyncio.Event] = {}

    async def once(
        self, uid: int, key: str, fingerprint: bytes, serve: Callable[[], Awaitable[bytes]]
    ) -> tuple[bytes, bool]:
        """The answer, and whether it is that of an earlier time. Raises `Refused`."""
        place = (uid, key)
        while place in self._under_way:
            await self._under_way[place].wait()
        self._under_way[place] = asyncio.Event()
        try:
            noted = await self._store.find(uid, key, int(self._clock()) - KEPT)
            if noted is None:
                return await self._serve(Pending(uid, key, fingerprint), serve), False
            if noted.fingerprint != fingerprint:
                raise Refused(
                    Problem.REPEATED, "this Idempotency-Key was used for another request: take a new one for each"
                )
            if noted.answer is None:
                raise Refused(
                    Problem.REPEATED,
                    "this request was carried out before a restart, its answer is lost: look at the list",
                )
            return noted.answer, True
        finally:
            self._under_way.pop(place).set()

    async def _serve(self, pending: Pending, serve: Callable[[], Awaitable[bytes]]) -> bytes:
        token = PENDING.set(pending)
        try:
            answer = await serve()
        except BaseException:
            if pending.noted:
                await self._store.drop(pending.uid, pending.key)
            raise
        finally:
            PENDING.reset(token)
        await self._store.keep(pending, answer, int(self._clock()))
        return answer
