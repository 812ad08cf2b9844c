"""Carries out each request with an Idempotency-Key once; repeated, it gets the first response.

See draft-ietf-httpapi-idempotency-key-header. Refusals are not stored: they changed nothing, and may be tried again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable

from velocity.access.bounds import BOUNDS, check_own
from velocity.contract.problems import OutcomeUnknown, Problem, Refused
from velocity.idempotency.port import PENDING, IdempotencyStore, Noted, Pending
from velocity.steady_clock import SteadyClock

log = logging.getLogger(__name__)

KEPT = 24 * 3600
"""Seconds for which a key is known."""
UNKEPT, OF_ALL = 1000, 10_000
"""Responses that the database could not take, of a user and in all, in memory; then the user's oldest is dropped."""


class Idempotency:
    """The requests with a key."""

    def __init__(
        self,
        store: IdempotencyStore,
        steady: SteadyClock,
        clock: Callable[[], float] = time.time,
        most: int = BOUNDS.user_keys,
    ) -> None:
        """A user may have `most` keys at a time."""
        self._store = store
        self.steady = steady
        self.clock = clock
        self._most = most
        self._times: dict[int, deque[int]] = {}
        """The times of users' keys, the oldest first; only for users who have sent one since the start."""
        self._under_way: dict[tuple[int, str], asyncio.Event] = {}
        self.unkept: dict[tuple[int, str], Noted] = {}

    async def once(
        self,
        uid: int,
        key: str,
        fingerprint: bytes,
        serve: Callable[[], Awaitable[bytes]],
        *,
        urgent: bool = False,
        kept: bool = True,
    ) -> tuple[bytes, bool]:
        """The response, and whether it is an earlier one. Raises `Refused`.

        `urgent` requests may be repeated, so they are carried out even if the database does not respond. If not `kept`,
        the response is not stored, as only the first caller may see it, and the record is written before the request is
        served.
        """
        place = (uid, key)
        while place in self._under_way:
            await self._under_way[place].wait()
        self._under_way[place] = asyncio.Event()
        try:
            noted = self.unkept.get(place) or await self._find(uid, key, urgent=urgent)
            if noted is None:
                if not urgent:
                    await self._check_room(uid)
                return await self._serve(Pending(uid, key, fingerprint), serve, kept=kept), False
            if noted.fingerprint != fingerprint:
                raise Refused(
                    Problem.REPEATED,
                    "this Idempotency-Key was already used for another request: use a new key for each request",
                )
            if noted.answer is None:
                raise Refused(
                    Problem.REPEATED,
                    "this request was carried out already, or begun, and its response is not kept: see what it did",
                )
            return noted.answer, True
        finally:
            self._under_way.pop(place).set()

    async def _find(self, uid: int, key: str, *, urgent: bool) -> Noted | None:
        try:
            return await self._store.find(uid, key, self.steady.ago(KEPT))
        except Refused:
            if urgent:
                return None
            raise

    async def _check_room(self, uid: int) -> None:
        """Raises `Refused(TOO_MANY_ATTEMPTS)` if the user has too many keys."""
        now = int(self.clock())
        since = now - KEPT
        if uid not in self._times:
            kept = deque(await self._store.times(uid, since, self._most))
            self._times.setdefault(uid, kept)
        times = self._times[uid]
        while times and times[0] < since:
            times.popleft()
        while times and times[-1] > now:  # of a time in which the clock was ahead
            times.pop()
        under_way = sum(place[0] == uid for place in self._under_way) - 1
        check_own(
            len(times) + under_way, self._most, "Idempotency-Keys of the past day", "user_keys",
            "use none where a repeat does no harm, or try again later",
        )  # fmt: skip

    async def _serve(self, pending: Pending, serve: Callable[[], Awaitable[bytes]], *, kept: bool) -> bytes:
        if not kept:
            await self._keep(pending, None)
            pending.noted = True
        token = PENDING.set(pending)
        try:
            answer = await serve()
        except OutcomeUnknown:
            raise  # the record exists if the change does
        except BaseException as error:
            unknown = isinstance(error, Refused) and error.problem is Problem.HYPERVISOR
            if pending.noted and (kept or not unknown):
                await self._drop(pending)
            raise
        finally:
            PENDING.reset(token)
        if kept:
            await self._keep(pending, answer)
        return answer

    async def _keep(self, pending: Pending, answer: bytes | None) -> None:
        """The request was carried out, whether or not its response can be stored."""
        now = int(self.clock())
        self._times.setdefault(pending.uid, deque()).append(now)
        try:
            await self._store.keep(pending, answer, now, self.steady.ago(KEPT))
        except (Refused, OutcomeUnknown) as error:
            log.warning("the response to a request with an Idempotency-Key is kept in memory only: %s", error)
            self.unkept[pending.uid, pending.key] = Noted(pending.fingerprint, answer)
            own = [place for place in self.unkept if place[0] == pending.uid]
            if len(own) > UNKEPT or len(self.unkept) > OF_ALL:
                del self.unkept[own[0]]

    async def _drop(self, pending: Pending) -> None:
        """If the record of a refused request remains, repeating it says that the response was lost."""
        self.unkept.pop((pending.uid, pending.key), None)
        try:
            await self._store.drop(pending.uid, pending.key)
        except (Refused, OutcomeUnknown) as error:
            log.warning("the record of a refused request with an Idempotency-Key could not be removed: %s", error)
